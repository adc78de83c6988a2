/**
 * Types for `withSnapshot` on Vitest's own `test`: `import 'vitest-thaw/globals'`, or its name in `types` of tsconfig.json.
 *
 * Vitest's test API is a type alias, which cannot be added to. A method of every function that only a test API can be the `this` of can;
 * editors will suggest it on other functions too, which is why these types are not there unless asked for.
 */
import type { TestAPI } from 'vitest'
import type { Fixture } from './worker/fixture.js'
import type { SnapshotOf } from './worker/snapshot.js'
import type { ThawTestAPI } from './worker/with-snapshot.js'

declare global {
  interface Function {
    withSnapshot<Context, Name extends string, Value>(
      this: TestAPI<Context>,
      fixture: Fixture<Name, Value>,
    ): ThawTestAPI<Context & { [Key in Name]: SnapshotOf<Value> }>
  }
}
