import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { missing } from './installed.ts'
import { Folder, Running, sharedHost, untilIdle, untilReady } from './running.ts'

const host = sharedHost()
const PORT = 8000
const programs = fileURLToPath(new URL('../../fixtures/programs/', import.meta.url))

test('python3 -m http.server serves on', async ({ skip }) => {
  skip(missing('python3') !== undefined, missing('python3'))
  using folder = new Folder()
  writeFileSync(folder.file('hello.txt'), 'hello')
  await using original = await Running.start(await host(), folder, 'python3', ['-u', '-m', 'http.server', `${PORT}`])
  await original.listens(PORT)
  expect(await original.get(PORT, '/hello.txt')).toMatchObject({ status: 200, body: 'hello' })
  await untilIdle()

  let answered = 1
  await original.useCopies(async (copy) => {
    expect(await copy.get(PORT, '/hello.txt')).toMatchObject({ status: 200, body: 'hello' })
    expect(await copy.get(PORT, '/none.txt')).toMatchObject({ status: 404 })
    // What it logs goes to where the copy's streams lead.
    expect(folder.text('output').match(/GET \/hello.txt HTTP\/1.1" 200/g)).toHaveLength(++answered)
  })
})

for (const program of ['threads.py', 'asyncio-server.py']) {
  test(`${program}: what it had begun comes to its end, in a copy of a copy`, async ({ skip }) => {
    skip(missing('python3') !== undefined, missing('python3'))
    using folder = new Folder()
    const args = [programs + program, folder.file('trigger'), folder.file('report')]
    await using original = await Running.start(await host(), folder, 'python3', args, { PYTHONDONTWRITEBYTECODE: '1' })
    await untilReady(folder)
    await original.checkCopies()
  })
}
