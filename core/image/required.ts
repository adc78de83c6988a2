/** Messages that an image must have: protobuf lets every one of them be left out. */

/** Those that may be, by the field that their holder stands in and their own. */
const optional: ReadonlySet<string> = new Set([
  'threads.rseq',
  'threads.timeLimit',
  'threads.seccomp',
  'fileSystem.removed',
  'sharedMemory.segment',
  'mappings.file',
  'file.content',
  'executable.content',
  'content.memfd',
  'regularFile.deleted',
  'deleted.memfd',
  'unixSocket.file',
  'unixSocket.peerFile',
  'unixSocket.listened',
  'unixSocket.connected',
  'queue.credentials',
  'pty.settings',
  'tcpConnection.orphanedBy',
])

/** Where one is missing that must be there: `processes[0].memory`. @param field that `holder` stands in */
export function missingIn(holder: object, field = ''): string | undefined {
  const isList = Array.isArray(holder)
  for (const [key, value] of Object.entries(holder) as [string, unknown][]) {
    const step = isList ? `[${key}]` : key
    if (value === null && !optional.has(`${field}.${key}`)) return step
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) continue
    const missing = missingIn(value, isList ? field : key)
    if (missing !== undefined) return `${step}${missing.startsWith('[') ? '' : '.'}${missing}`
  }
  return undefined
}
