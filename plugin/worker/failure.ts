import type { Loan } from './snapshot.js'

/** Of each stream, shown with a failing test. */
const SHOWN_LINES = 30

/** An error of a test, as Vitest keeps it once it has been thrown. */
export interface TestError {
  message: string
  stack?: string
}

/** Puts what a copy printed below the message of the error that its test failed with: the place that every reporter shows. */
export function attachOutput(error: TestError, fixture: string, { stdout, stderr }: Loan): void {
  const text = section(`stdout of ${fixture}`, stdout.text) + section(`stderr of ${fixture}`, stderr.text)
  if (text === '') return
  const message = error.message + text
  // The stack repeats the message, and reporters find the frames below it.
  if (error.stack?.includes(error.message)) error.stack = error.stack.replace(error.message, () => message)
  error.message = message
}

function section(title: string, text: string): string {
  const lines = text.trimEnd().split('\n')
  if (lines.length === 1 && lines[0] === '') return ''
  const shown = lines.slice(-SHOWN_LINES)
  const left = lines.length > shown.length ? `, the last ${shown.length} lines` : ''
  return `\n\n--- ${title}${left}\n${shown.join('\n')}`
}
