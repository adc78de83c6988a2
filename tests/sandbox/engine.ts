/** An engine that makes a sandbox in which `sleep` runs, says so in one line, and stays or leaves. */
import { openSync } from 'node:fs'
import { openHost } from '../../dist/core/sandbox/host.js'

const nothing = openSync('/dev/null', 'r+')
const host = await openHost()
const sandbox = await host.createSandbox({ network: 'new' })
const command = await sandbox.start('sleep', [process.argv[3] ?? '1000'], { stdio: [nothing, nothing, nothing] })
if (process.argv[2] === 'detach') sandbox.detach(command.innerPid)
console.log(JSON.stringify({ engine: process.pid, host: host.pid, init: sandbox.initPid, command: command.pid }))
if (process.argv[2] === 'detach') await host[Symbol.asyncDispose]()
