import { createHash } from 'node:crypto'
import { dirname } from 'node:path'
import type { FixtureIdentity } from '../protocol/messages.js'
import { mayCapture } from './captures.js'
import type { Fixture } from './fixture.js'
import { placesIn } from './frames.js'

/**
 * What makes a fixture the same one in all workers of a project. The same text in two files of a folder is the same fixture, so that a
 * definition may stand in each test file. Not if it uses names from around it: those may mean something else in another file, or in
 * another call of the function that defines it.
 */
export function identify({ name, warmUp, definedAt }: Fixture, project: string): FixtureIdentity {
  const source = warmUp.toString()
  const sourceHash = createHash('sha256').update(source).digest('hex')
  // Where it is defined, and from where that was called.
  const places = placesIn(definedAt)
  const [definition = ''] = places.map(({ file }) => file)
  if (!mayCapture(source)) return { project, name, file: definition, scope: dirname(definition), sourceHash, dependsOn: [] }
  const scope = places.map(({ file, at }) => file + at).join('\n')
  return { project, name, file: definition, scope, sourceHash, dependsOn: [...new Set(places.map(({ file }) => file))] }
}
