/** The kinds of open file descriptions that are carried. Each is one file; adding a kind is adding a file and a line here. */
import { characterDevice } from './character-device.js'
import { controllingTerminal } from './controlling-terminal.js'
import type { DescriptionKind, SeenDescription, SeenTree } from './description.js'
import { epoll } from './epoll.js'
import { eventFd } from './eventfd.js'
import { inetSocket } from './inet-socket.js'
import { inotify } from './inotify.js'
import { ioUring } from './io-uring.js'
import { messageQueue } from './message-queue.js'
import { namedPipe } from './named-pipe.js'
import { netlinkSocket } from './netlink-socket.js'
import { O_PATH, S_IFBLK, S_IFCHR, S_IFMT, S_IFSOCK } from './open-flags.js'
import { packetSocket } from './packet-socket.js'
import { pidFd } from './pidfd.js'
import { pipe } from './pipe.js'
import { pty } from './pty.js'
import { rawSocket } from './raw-socket.js'
import { regularFile } from './regular-file.js'
import { signalFd } from './signalfd.js'
import { socketOf } from './socket/seen-socket.js'
import { standardStream } from './standard-stream.js'
import { tcpClosed } from './tcp-closed.js'
import { tcpConnection } from './tcp-connection.js'
import { tcpListener } from './tcp-listener.js'
import { tcpWaiting } from './tcp-waiting.js'
import { timerFd } from './timerfd.js'
import { udpSocket } from './udp-socket.js'
import { unixSocket } from './unix-socket.js'

export { explainFailure } from './failures.js'

/**
 * In the order in which they are asked and placed: terminals of the tree's own before standard streams, those before what else a pipe or socket may be, epoll sets once all numbers
 * are right.
 */
export const descriptionKinds: readonly DescriptionKind<unknown>[] = [
  pty,
  controllingTerminal,
  standardStream,
  characterDevice,
  pipe,
  namedPipe,
  eventFd,
  timerFd,
  signalFd,
  pidFd,
  inotify,
  ioUring,
  unixSocket,
  rawSocket,
  packetSocket,
  tcpListener,
  tcpConnection,
  tcpWaiting,
  tcpClosed,
  inetSocket,
  udpSocket,
  netlinkSocket,
  messageQueue,
  epoll,
  regularFile,
]

export function kindOf(seen: SeenDescription, tree: SeenTree): DescriptionKind<unknown> | undefined {
  return descriptionKinds.find((kind) => kind.recognises(seen, tree))
}

export function kindNamed(name: string): DescriptionKind<unknown> {
  const kind = descriptionKinds.find((candidate) => candidate.name === name)
  if (kind === undefined) throw new Error(`no kind of description is named ${name}`)
  return kind
}

const words: readonly (readonly [RegExp, string])[] = [
  [/^anon_inode:\[?fanotify\]?$/, 'a fanotify group'],
  [/^(anon_inode:\[pidfd\]|pidfd:)/, 'a mere path (O_PATH) to a pidfd'],
  [/^anon_inode:\[userfaultfd\]$/, 'a userfaultfd'],
  [/^anon_inode:\[perf_event\]$/, 'a performance counter'],
  [/^anon_inode:bpf/, 'a BPF object'],
  [/^anon_inode:seccomp notify$/, 'a seccomp listener'],
  [/^anon_inode:\[landlock-ruleset\]$/, 'a Landlock ruleset'],
  [/^(mnt|pid|net|ipc|uts|user|time|cgroup)(_for_children)?:\[/, 'a namespace'],
]

const families: ReadonlyMap<number, string> = new Map([
  [2, 'an IPv4 socket of another protocol than TCP and UDP'],
  [10, 'an IPv6 socket of another protocol than TCP and UDP'],
  [29, 'a CAN socket'],
  [31, 'a Bluetooth socket'],
  [38, "a socket of the kernel's cryptography"],
  [40, 'a vsock socket'],
  [44, 'an XDP socket'],
])

/** What a description is that no kind recognises: "a pidfd". */
export function describe(seen: SeenDescription): string {
  const { link, status, info } = seen
  const known = words.find(([pattern]) => pattern.test(link))
  if (known !== undefined) return known[1]
  const type = status.mode & S_IFMT
  if ((info.flags & O_PATH) !== 0) return `a path (O_PATH) to ${link}`
  if (type === S_IFSOCK) return families.get(socketOf(seen)?.family ?? 0) ?? 'a socket of a family or protocol that is not known'
  if (type === S_IFCHR) return `the character device ${link}`
  if (type === S_IFBLK) return `the block device ${link}`
  return link
}
