#!/usr/bin/env node
/** The command `thaw`. Nothing of it is loaded before it is known that this Node can. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < 22 || (major === 22 && minor < 12)) {
  process.stderr.write(
    `UnsupportedError [THAW_OLD_NODE]: thaw needs Node 22.12 or newer; this is ${process.versions.node}. Install a newer one.\n`,
  )
  process.exitCode = 3
} else {
  const { run } = await import('./run.js')
  process.exitCode = await run(process.argv.slice(2))
}
