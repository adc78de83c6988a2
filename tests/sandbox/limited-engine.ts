/** An engine that makes sandboxes until it cannot, at most 20, and says why in one line. */
import { openHost } from '../../dist/core/sandbox/host.js'

const host = await openHost()
try {
  for (let made = 0; made < 20; made++) await host.createSandbox({ network: 'host' })
  console.log('{}')
} catch (error) {
  const { name, code, syscall, errno, message } = error as Error & Record<'code' | 'syscall' | 'errno', unknown>
  console.log(JSON.stringify({ name, code, syscall, errno, message }))
} finally {
  await host[Symbol.asyncDispose]()
}
