/** An engine with a template, a copy that runs and one that stands by: says what there is, and waits to be killed. */

import { openSync } from 'node:fs'
import { checkpoint, openHost } from '../../dist/core/index.js'
import { descendants } from './left.ts'

const nothing = openSync('/dev/null', 'r+')
const stdio = [nothing, nothing, nothing] as const
const host = await openHost()
const sandbox = await host.createSandbox({ network: 'new' })
const { pid } = await sandbox.start('sleep', ['1000'], { stdio })
const template = await (await checkpoint(pid)).image.load(host, { network: 'new' })
const copies = [await template.spawn({ stdio }), await template.spawn({ stdio, standby: true })]
console.log(JSON.stringify({ copies: copies.map((copy) => copy.pid), all: descendants(process.pid) }))
setInterval(() => undefined, 1000)
