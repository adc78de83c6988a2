/**
 * Where stack frames point to, as V8 writes them (https://v8.dev/docs/stack-trace-api): `at place`, `at async place`, `at name (place)`. A name
 * may have anything in it, and so may a path: parentheses (route groups of Next.js and SvelteKit), spaces, letters of any language.
 */
import { fileURLToPath } from 'node:url'

export interface Place {
  readonly file: string
  /** Line and column; of evaluated code those of the evaluation, and its own behind them. */
  readonly at: string
}

/** Frames from here on are not the user's. */
const OF_THE_RUNNER = /node_modules\/(vite|vitest|@vitest)\b|^node:/
const FRAME = /^\s*at (?:async )?(.*)$/
/** The last one that opens before a place: there are more inside of names than behind spaces at the end of a folder's. */
const NAMED = /^.* \(((?:\/|file:\/\/\/).*|node:[^ ()]*)\)$/
/** A path or a file URL, without what a bundler asks for behind it; evaluated code comes behind where it was evaluated. */
const PLACE = /^(file:\/\/)?(\/.*?)(?:\?[^:]*)?(:\d+:\d+(?:\)+, .*)?)$/

/** In the user's files, the innermost first. */
export function placesIn(frames: string): readonly Place[] {
  const texts = frames.split('\n').map(textOf)
  const end = texts.findIndex((text) => OF_THE_RUNNER.test(text))
  return texts.slice(0, end === -1 ? undefined : end).flatMap((text) => {
    const [, scheme, path = '', at = ''] = PLACE.exec(text) ?? []
    if (path === '') return []
    return [{ file: scheme === undefined ? path : decoded(path), at }]
  })
}

function textOf(line: string): string {
  const frame = FRAME.exec(line)?.[1] ?? ''
  return NAMED.exec(frame)?.[1] ?? frame
}

/** What is no URL, though it looks like one, stands for itself. */
function decoded(path: string): string {
  try {
    return fileURLToPath(`file://${path}`)
  } catch {
    return path
  }
}
