/** Failures of a restore that have a name of their own, since what to do about them is known. */
import type { Operation } from '../program/program.js'

export interface Explanation {
  readonly code: string
  /** What is wrong, and what to do. */
  readonly message: string
  /** Of the file, where it is about one. */
  readonly path?: string
}

const EPERM = 1
const ENOENT = 2
const EBADF = 9
const EAGAIN = 11
const EACCES = 13
const EEXIST = 17
const ENODEV = 19
const ENOTDIR = 20
const EMFILE = 24
const ENOSPC = 28
const ENOPROTOOPT = 92
const EPROTONOSUPPORT = 93
const EADDRINUSE = 98
const EADDRNOTAVAIL = 99

const SOCKET_FILE = /\bname (\/.*)$/
const SELF = 'is the process that was checkpointed still running?'

export function explainFailure(op: Operation, errno: number): Explanation | undefined {
  return explainCall(op, errno) ?? explainFile(op, errno)
}

function explainCall({ name, purpose }: Operation, errno: number): Explanation | undefined {
  if (name === 'clone3') return explainPid(errno)
  if (name === 'bind' && errno === EADDRNOTAVAIL) return missingAddress
  if (errno === ENODEV && /\b(multicast group|interface \d+)\b/.test(purpose)) return missingInterface
  if (name === 'prlimit64' && errno === EPERM) return lowerLimit
  if (name === 'socket' && errno === EPERM) return unprivileged
  if (name === 'socket' && /\btcp listener\b/.test(purpose) && (errno === ENOPROTOOPT || errno === EPROTONOSUPPORT)) return withoutMptcp
  if (name === 'mq_open' && errno === EEXIST) return takenQueue
  if (name === 'connect' && errno === EADDRNOTAVAIL && /\bTCP connection\b/.test(purpose)) return takenConnection
  if (name === 'inotify_init1' || name === 'inotify_add_watch') return explainInotify(errno)
  if (errno === EMFILE) return tooManyFiles
  if (name === 'connect' && SOCKET_FILE.test(purpose)) return explainSocketFile(purpose, errno)
  if (name === 'bind' && errno === EADDRINUSE && SOCKET_FILE.test(purpose)) return explainSocketFile(purpose, errno)
  if (name === 'bind' || name === 'listen') return explainName(/\b(?:TCP|UDP) port (\d+)/.exec(purpose)?.[1], errno)
  const pipe = /\bnobody else reads from (\/.*)$/s.exec(purpose)?.[1]
  if (pipe !== undefined && errno === 0) {
    const message = `another process reads from it, and would take what is written to it. Stop that process (${SELF}).`
    return { code: 'THAW_PIPE_IN_USE', message, path: pipe }
  }
  const room = /\broom for (\d+) bytes$/.exec(purpose)?.[1]
  if (room !== undefined && errno !== EBADF) {
    const message = `it held ${room} bytes, and this user has so much in pipes that a new one cannot. Raise fs.pipe-user-pages-soft, or fs.pipe-max-size for large ones (sysctl), or close other pipes.`
    return { code: 'THAW_PIPE_SIZE', message }
  }
  const pty = /pseudo-terminal (\d+): its number is taken/.exec(purpose)?.[1]
  if (pty !== undefined) {
    const message = `/dev/pts/${pty} is taken (${SELF}). Restore into a pid namespace of its own (--pid-namespace new), which has terminals of its own.`
    return { code: 'THAW_PTY_TAKEN', message }
  }
  const locked = /\b(?:flock|POSIX lock|OFD lock|lease) on (.*)$/.exec(purpose)?.[1]
  if (locked === undefined || (errno !== EAGAIN && errno !== EACCES)) return undefined
  const message = `another process holds a lock on ${locked}. Stop that process (${SELF}).`
  return { code: 'THAW_FILE_LOCKED', message, path: locked }
}

const missingAddress: Explanation = {
  code: 'THAW_ADDRESS_MISSING',
  message:
    'its address is none of this network. Restore into the network of the host (--network host), or use the loopback in the warm-up.',
}

const missingInterface: Explanation = {
  code: 'THAW_INTERFACE_MISSING',
  message: 'this network has no such interface. Restore into the network of the host (--network host), or use the loopback in the warm-up.',
}

const takenQueue: Explanation = {
  code: 'THAW_NAME_TAKEN',
  message: `there is a POSIX message queue of that name, with messages or of another size (${SELF}). Restore into a pid namespace of its own (--pid-namespace new), which has queues of its own.`,
}

const unprivileged: Explanation = {
  code: 'THAW_RAW_PRIVILEGE',
  message: 'such a socket takes CAP_NET_RAW in this network. Run as root, or restore with a network of its own (--network new).',
}

const withoutMptcp: Explanation = {
  code: 'THAW_MPTCP_OFF',
  message:
    'it listens by MPTCP, which this kernel does not have or which is switched off (sysctl net.mptcp.enabled). Switch it on, or have the program use TCP (Go: GODEBUG=multipathtcp=0) and make a new checkpoint.',
}

const takenConnection: Explanation = {
  code: 'THAW_PORT_TAKEN',
  message: `a connection with the same ports exists (${SELF}). Stop it, or restore with a network of its own (--network new).`,
}

const lowerLimit: Explanation = {
  code: 'THAW_LIMIT',
  message:
    'a hard limit of it is above that of who restores it, which takes CAP_SYS_RESOURCE. Raise that one (ulimit -H), or lower it in the warm-up.',
}

const tooManyFiles: Explanation = {
  code: 'THAW_OPEN_FILES',
  message: 'there are more open files than the hard limit allows of who restores it (EMFILE). Raise it (ulimit -Hn).',
}

function explainPid(errno: number): Explanation | undefined {
  if (errno === EEXIST)
    return {
      code: 'THAW_PID_TAKEN',
      message: `a pid of the image is taken (${SELF}). Restore into a pid namespace of its own (--pid-namespace new).`,
    }
  if (errno !== EPERM) return undefined
  return {
    code: 'THAW_PIDS_REFUSED',
    message: 'this user may not choose pids here. Run as root, or restore into a pid namespace of its own (--pid-namespace new).',
  }
}

/** What jps and jstat read (https://openjdk.org/groups/hotspot/docs/RuntimeOverview.html). */
const JAVA_COUNTERS = /\/hsperfdata_[^/]+\/\d+$/
const removedByJava =
  'Java shows its counters there, and removes the file when it ends. Start it with -XX:-UsePerfData, and make a new checkpoint.'

/** Calls that lead to a file by its path, and which argument that is. */
const pathAt: Readonly<Record<string, number>> = { openat: 1, inotify_add_watch: 1, chdir: 0, chroot: 0 }

/** Files of the kernel's own are told by their call. */
function explainFile({ name, args }: Operation, errno: number): Explanation | undefined {
  const argument = args[pathAt[name] ?? args.length]
  if (typeof argument !== 'object' || !('text' in argument)) return undefined
  const path = JSON.parse(argument.text) as string
  if (/^\/(proc|dev\/pts)\//.test(path)) return undefined
  if (errno === ENOENT || errno === ENOTDIR) {
    const remedy = JAVA_COUNTERS.test(path) ? removedByJava : 'Put the same file back, or make a new checkpoint.'
    return { code: 'THAW_FILE_CHANGED', message: `${path} is gone since the checkpoint. ${remedy}`, path }
  }
  if (errno !== EACCES && errno !== EPERM) return undefined
  const message = `this user may not open ${path} as it was open (${errno === EPERM ? 'EPERM' : 'EACCES'}). Restore as a user who may, or change who may (chmod, chown).`
  return { code: 'THAW_FILE_REFUSED', message, path }
}

/** inotify(7), /proc interfaces. */
function explainInotify(errno: number): Explanation | undefined {
  if (errno !== EMFILE && errno !== ENOSPC) return undefined
  const limit = errno === EMFILE ? 'fs.inotify.max_user_instances' : 'fs.inotify.max_user_watches'
  return {
    code: 'THAW_INOTIFY_LIMIT',
    message: `this user has as many as ${limit} allows. Raise it (sysctl), or run fewer copies at a time.`,
  }
}

/** Namespaces do not help: the file system is the host's. */
function explainSocketFile(purpose: string, errno: number): Explanation {
  const path = SOCKET_FILE.exec(purpose)?.[1] ?? ''
  const message =
    errno === EACCES
      ? `${path} may belong to a living socket: this user may not write to it, and so not find out. Remove it if nobody listens there.`
      : `${path} is taken. Stop who listens there (${SELF}), or remove the file if nobody does. Abstract names and ports are free in a network of its own (--network new).`
  return { code: 'THAW_NAME_TAKEN', message, path }
}

function explainName(port: string | undefined, errno: number): Explanation | undefined {
  if (errno === EADDRINUSE) {
    const what = port === undefined ? 'its socket name' : `port ${port}`
    const message = `${what} is taken. Stop who uses it (${SELF}), or restore with a network of its own (--network new).`
    return { code: port === undefined ? 'THAW_NAME_TAKEN' : 'THAW_PORT_TAKEN', message }
  }
  if (errno !== EACCES || port === undefined) return undefined
  const message = `this user may not listen on port ${port}. Restore as root, or listen on a port from 1024 on.`
  return { code: 'THAW_PORT_REFUSED', message }
}
