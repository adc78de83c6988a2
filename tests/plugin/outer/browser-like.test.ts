import { expect } from 'vitest'
import { defineFixture, test as base } from 'vitest-thaw'

const echo = defineFixture('echo', async ({ start }) => {
  const server = await start('node', ['echo-server.js'], { ready: { http: ':3000/' }, readyTimeoutMs: 5000 })
  expect((await server.fetch('/')).status).toBe(200)
})
const test = base.withSnapshot(echo)

test('the environment has a fetch of its own', async () => {
  await expect(fetch('http://localhost:3000/')).rejects.toThrow('the host was asked')
})
test('texts, headers and signals', async ({ echo }) => {
  const headers = new Headers({ 'content-type': 'text/x-test' })
  const response = await echo.fetch(':3000/', { method: 'PUT', body: 'text', headers, signal: new AbortController().signal })
  expect([response.headers.get('x-method'), response.headers.get('content-type')]).toEqual(['PUT', 'text/x-test'])
  expect(await response.text()).toBe('text')
  await expect(echo.fetch(':3000/', { signal: AbortSignal.abort() })).rejects.toThrow(/abort/)
})
test('forms', async ({ echo }) => {
  const body = new FormData()
  body.append('word', 'one')
  body.append('word', 'two')
  body.append('file', new File(['content'], 'name.txt', { type: 'text/x-test' }))
  const form = await (await echo.fetch(new URL('http://localhost:3000/'), { method: 'POST', body })).formData()
  expect(form.getAll('word')).toEqual(['one', 'two'])
  const file = form.get('file') as File
  expect([file.name, file.type, await file.text()]).toEqual(['name.txt', 'text/x-test', 'content'])
})
test('requests', async ({ echo }) => {
  const request = new Request('http://localhost:3000/', { method: 'POST', body: 'text', headers: { 'content-type': 'text/x-test' } })
  const response = await echo.fetch(request)
  expect([response.headers.get('x-method'), response.headers.get('content-type')]).toEqual(['POST', 'text/x-test'])
  expect(await response.text()).toBe('text')
  expect((await echo.fetch(new Request('http://localhost:3000/'), { method: 'DELETE' })).headers.get('x-method')).toBe('DELETE')
  await expect(echo.fetch(new Request('http://localhost:3000/', { signal: AbortSignal.abort() }))).rejects.toThrow(/abort/)
})
