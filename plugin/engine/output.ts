/** Standard streams for what runs in a sandbox: input is empty, output goes into pipes that a worker reads. */
import { closeSync, constants, openSync } from 'node:fs'
import { native } from '../../native/index.js'

const O_CLOEXEC = 0o2000000

export interface OutputPipes {
  /** For `stdio` of a start or a spawn. */
  readonly stdio: readonly [number, number, number]
  /** Closes the ends that the process has of its own by now. Without this its end would never be seen. */
  closeWriters(): void
  /** The reading ends of stdout and stderr, which then belong to the caller. */
  takeReaders(): readonly number[]
  /** Other reading ends of the same pipes, which belong to the caller. */
  openReaders(): readonly number[]
  /** Closes whatever nobody has taken. */
  close(): void
}

export function openOutputPipes(): OutputPipes {
  const input = openSync('/dev/null', 'r')
  const [stdout, stdoutWriter] = native.pipe(O_CLOEXEC)
  const [stderr, stderrWriter] = native.pipe(O_CLOEXEC)
  let writers = [input, stdoutWriter, stderrWriter]
  let readers = [stdout, stderr]
  const closeWriters = (): void => {
    for (const fd of writers) closeSync(fd)
    writers = []
  }
  const takeReaders = (): readonly number[] => {
    const taken = readers
    readers = []
    return taken
  }
  return {
    stdio: [input, stdoutWriter, stderrWriter],
    closeWriters,
    takeReaders,
    openReaders: () => readers.map((fd) => openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK)),
    close: () => {
      closeWriters()
      for (const fd of takeReaders()) closeSync(fd)
    },
  }
}
