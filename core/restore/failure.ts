/** Turning the index of a failed operation into words: which process, which resource, which call, why. */
import { native } from '../../native/index.js'
import { RestoreError } from '../errors.js'
import type { Bundle } from '../program/bundle.js'
import { printOperation } from '../program/print.js'
import { explainFailure } from '../resources/kinds.js'

/** @param record what the interpreter writes: failed, failed_op, failed_result, failed_tid */
export function readFailure(record: Uint8Array, bundle: Bundle, where: 'template' | 'instance'): RestoreError {
  const view = new DataView(record.buffer, record.byteOffset)
  const found = bundle.operation(view.getUint32(4, true))
  const result = view.getBigInt64(8, true)
  const errno = result < 0n ? Number(-result) : 0
  const why = native.errnoNames[errno] ?? (result < 0n ? `error ${errno}` : `gave ${result}`)
  if (found === undefined) return new RestoreError('THAW_RESTORE', `Cannot restore: an operation of the ${where} failed (${why}).`)
  const { op, program } = found
  const details = { syscall: op.name, errno }
  const explained = explainFailure(op, errno)
  if (explained !== undefined) {
    const { code, message, path } = explained
    return new RestoreError(
      code,
      `Cannot restore ${op.purpose || program.name}: ${message}`,
      path === undefined ? details : { ...details, path },
    )
  }
  return new RestoreError('THAW_RESTORE', `Cannot restore ${op.purpose || program.name}: ${printOperation(op)}: ${why}.`, details)
}
