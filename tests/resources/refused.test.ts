import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { closeSync, openSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { checkpoint, closeCheckpointPool, openHost, UnsupportedError } from '../../dist/core/index.js'
import { childrenOf } from '../../dist/core/proc/tree.js'
import { FixtureProgram } from '../fixtures/program.ts'

afterAll(closeCheckpointPool)

/** What `refused.c` holds, and the code of the error. */
const refused: Readonly<Record<string, string>> = {
  'private-memfd': 'THAW_FILE_REPLACED',
  'hugetlb-memfd': 'THAW_HUGETLB',
  'memfd-secret': 'THAW_FILE_UNNAMED',
  inotify: 'THAW_INOTIFY_EVENTS',
  'lock-on-a-pipe': 'THAW_FILE_LOCK',
  'proc-gone': 'THAW_PROC_OUTSIDE',
  'proc-zombie': 'THAW_FILE_REPLACED',
  'proc-locked': 'THAW_FILE_LOCK',
  'proc-descriptor': 'THAW_PROC_DESCRIPTOR',
  'proc-closed': 'THAW_PROC_OUTSIDE',
  fanotify: 'THAW_DESCRIPTOR',
  'owner-outside': 'THAW_OWNER_OUTSIDE',
  pidfd: 'THAW_PIDFD_OUTSIDE',
  'pidfd-locked': 'THAW_PIDFD_MARKED',
  'pidfd-core': 'THAW_PIDFD_CORE',
  userfaultfd: 'THAW_DESCRIPTOR',
  perf: 'THAW_DESCRIPTOR',
  bpf: 'THAW_DESCRIPTOR',
  'socket-filter': 'THAW_SOCKET_FILTER',
  'queue-data': 'THAW_MQUEUE_DATA',
  'queue-name': 'THAW_MQUEUE_NAME',
  'queue-notify': 'THAW_MQUEUE_NOTIFY',
  'queue-shared': 'THAW_MQUEUE_SHARED',
  raw: 'THAW_RAW_QUEUE',
  'raw-igmp': 'THAW_RAW_PROTOCOL',
  'other-socket': 'THAW_DESCRIPTOR',
  netlink: 'THAW_NETLINK_QUEUE',
  'netlink-audit': 'THAW_NETLINK_PROTOCOL',
  packet: 'THAW_PACKET_QUEUE',
  'packet-ring': 'THAW_PACKET_RING',
  'packet-memberships': 'THAW_PACKET_MEMBERSHIPS',
  pty: 'THAW_PTY_HALF',
  'pty-data': 'THAW_PTY_DATA',
  'pty-packet': 'THAW_PTY_PACKET',
  'pty-reader': 'THAW_PTY_READER',
  kmsg: 'THAW_DESCRIPTOR',
  namespace: 'THAW_DESCRIPTOR',
  aio: 'THAW_MAPPING',
  'vdso-protection': 'THAW_MAPPING',
  'sysv-unattached': 'THAW_SYSV_UNATTACHED',
  'sysv-partial': 'THAW_SYSV_PARTIAL',
  'sysv-undo': 'THAW_SYSV_UNDO',
  'sysv-outside': 'THAW_SYSV_SHARED',
  'traced-child': 'THAW_TRACED',
  'seccomp-notify': 'THAW_SECCOMP',
  'seccomp-sigreturn': 'THAW_SECCOMP',
  'busy-ring': 'THAW_IO_URING_BUSY',
  'message-of-another': 'THAW_UNIX_CREDENTIALS',
  'unix-reset': 'THAW_UNIX_ERROR',
  'unix-bound-anew': 'THAW_UNIX_NAME_TAKEN',
  'unix-peeked': 'THAW_UNIX_PEEKED',
  'unix-peeked-record': 'THAW_UNIX_PEEKED',
  'udp-peeked': 'THAW_UDP_QUEUE',
  'udp-original-address': 'THAW_UDP_QUEUE',
  'tcp-urgent': 'THAW_TCP_URGENT',
  'tcp-mark-ahead': 'THAW_TCP_URGENT',
  'tcp-mark': 'THAW_TCP_URGENT',
  'tcp-refused': 'THAW_TCP_ERROR',
  'mptcp-client': 'THAW_MPTCP',
  'mptcp-connection': 'THAW_MPTCP',
  'lease-of-deleted': 'THAW_FILE_LOCK',
  'memory-policy': 'THAW_MEMORY_POLICY',
  'ended-leader': 'THAW_ZOMBIE',
  'zombie-core': 'THAW_ZOMBIE_CORE',
  'zombie-core-leader': 'THAW_ZOMBIE_CORE',
  'user-dispatch': 'THAW_USER_DISPATCH',
  'thread-dispatch': 'THAW_USER_DISPATCH',
  'exit-signal': 'THAW_EXIT_SIGNAL',
  'no-exit-signal': 'THAW_EXIT_SIGNAL',
  'zombie-signal': 'THAW_EXIT_SIGNAL',
  'notifying-ring': 'THAW_IO_URING_REGISTERED',
  'ring-of-a-thread': 'THAW_IO_URING_ISSUER',
  'write-exec': 'THAW_WRITE_EXEC',
  deadline: 'THAW_DEADLINE',
  utilization: 'THAW_UTILIZATION',
  speculation: 'THAW_SPECULATION',
  'core-cookie': 'THAW_CORE_COOKIE',
  'outside-memory': 'THAW_SHARED_OUTSIDE',
  'outside-memfd': 'THAW_SHARED_OUTSIDE',
  'outside-mapped-memfd': 'THAW_SHARED_OUTSIDE',
  'outside-deleted': 'THAW_SHARED_OUTSIDE',
  'outside-eventfd': 'THAW_SHARED_OUTSIDE',
  'outside-epoll': 'THAW_SHARED_OUTSIDE',
  'child-network': 'THAW_SPLIT_TREE',
  'child-names': 'THAW_SPLIT_TREE',
  'child-cgroups': 'THAW_CGROUP_NAMESPACE',
  'child-mounts': 'THAW_SPLIT_TREE',
  'child-clocks': 'THAW_SPLIT_TREE',
  'child-pids': 'THAW_SPLIT_TREE',
  'own-name': 'THAW_UTS_NAMESPACE',
  'own-domain': 'THAW_UTS_NAMESPACE',
  'own-cgroups': 'THAW_CGROUP_NAMESPACE',
}

/** Nothing outside of a process that runs tells. */
const ONLY_SEEN_FROZEN: ReadonlySet<string> = new Set([
  'THAW_IO_URING_ISSUER',
  'THAW_IO_URING_REGISTERED',
  'THAW_SECCOMP',
  'THAW_UDP_QUEUE',
  'THAW_UNIX_CREDENTIALS',
  'THAW_UNIX_PEEKED',
  'THAW_USER_DISPATCH',
  'THAW_WRITE_EXEC',
])

for (const [kind, code] of Object.entries(refused)) {
  test(`${kind} is refused by name, and the process runs on`, async ({ skip }) => {
    await using program = await FixtureProgram.start('refused', { args: [kind] })
    skip(program.skipped !== undefined, program.skipped)
    const steps: string[] = []
    const error: unknown = await checkpoint(program.pid, { onStep: (step) => steps.push(step) }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(UnsupportedError)
    if (!ONLY_SEEN_FROZEN.has(code)) expect(steps).not.toContain('freeze')
    expect(error).toMatchObject({
      code,
      pid: expect.any(Number),
      message: expect.stringMatching(/^Cannot checkpoint pid \d+ \(refused\): /),
    })
    expect([program.pid, ...childrenOf(program.pid)]).toContain((error as UnsupportedError).pid)
    expect(await program.check()).toEqual(['ok'])
  })
}

test('what somebody outside has and cannot change is not refused, nor what is alike only', async () => {
  await using program = await FixtureProgram.start('refused', { args: ['outside-alike'] })
  await using _image = (await checkpoint(program.pid)).image
  expect(await program.check()).toEqual(['ok'])
})

test('a process that waits in vfork is refused by name, and goes on waiting', async () => {
  await using program = await FixtureProgram.start('refused', { args: ['vfork'] })
  await expect(checkpoint(program.pid)).rejects.toMatchObject({
    code: 'THAW_SHARED_TASK',
    message: expect.stringContaining('shares its memory with pid'),
  })
  expect(await program.check()).toEqual(['ok'])
})

test('a connection to the outside is refused with the name of the peer', async () => {
  await using outside = await serve()
  await using program = await FixtureProgram.start('tcp-outside', { args: [`${outside.port}`] })
  await expect(checkpoint(program.pid)).rejects.toMatchObject({
    code: 'THAW_TCP_OUTSIDE',
    message: expect.stringContaining(`127.0.0.1:${outside.port}`),
  })
  expect(await program.check()).toEqual(['ok'])
})

test('a connection to the outside is closed in the copy, where asked, and open in the original', async () => {
  await using outside = await serve()
  const options = { args: [`${outside.port}`, 'closed'] }
  await using program = await FixtureProgram.start('tcp-outside', options)
  await using image = (await checkpoint(program.pid, { tcp: 'close' })).image
  expect(await program.check()).toEqual([expect.stringMatching(/^differs: closed/)])
  program.forgetReport()

  await using host = await openHost()
  await using template = await image.load(host, { network: 'new' })
  const nothing = openSync('/dev/null', 'r+')
  await using _copy = await template.spawn({ stdio: [nothing, nothing, nothing] })
  closeSync(nothing)
  expect(await program.check()).toEqual(['ok'])
})

/** A server that takes connections and says nothing. */
async function serve(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async (): Promise<void> => void server.close()
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: close }
}
