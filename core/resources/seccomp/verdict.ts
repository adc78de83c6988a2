/** What a filter says of a system call: classic BPF over struct seccomp_data, as seccomp(2) allows it (kernel/seccomp.c). */

const SECCOMP_DATA_BYTES = 64
const ARGUMENTS_AT = 16
const AUDIT_ARCH_X86_64 = 0xc000_003e
const ACTION = 0xffff_0000
const RET_KILL_PROCESS = 0x8000_0000

const LD = 0
const LDX = 1
const ST = 2
const STX = 3
const ALU = 4
const JMP = 5
const RET = 6
const MODE_IMM = 0x00
const MODE_MEM = 0x60
const MODE_LEN = 0x80
const FROM_X = 8
const RET_A = 0x10

/** The action that it returns (SECCOMP_RET_*), for a call from address 0; arguments that are not given are 0. */
export const actionOf = (filter: Uint8Array, call: number, args: readonly number[] = []): number => (run(filter, call, args) & ACTION) >>> 0

function run(filter: Uint8Array, call: number, args: readonly number[]): number {
  const view = new DataView(filter.buffer, filter.byteOffset, filter.byteLength)
  const data = new DataView(new ArrayBuffer(SECCOMP_DATA_BYTES))
  data.setInt32(0, call, true)
  data.setUint32(4, AUDIT_ARCH_X86_64, true)
  args.forEach((value, i) => data.setBigUint64(ARGUMENTS_AT + i * 8, BigInt(value), true))
  const scratch = new Uint32Array(16)
  let [a, x] = [0, 0]
  for (let at = 0; at + 8 <= filter.length; at += 8) {
    const code = view.getUint16(at, true)
    const k = view.getUint32(at + 4, true)
    const operand = (code & FROM_X) !== 0 ? x : k
    switch (code & 7) {
      case LD:
        a = loaded(code & 0xe0, k, data, scratch)
        break
      case LDX:
        x = loaded(code & 0xe0, k, data, scratch)
        break
      case ST:
        scratch[k & 15] = a
        break
      case STX:
        scratch[k & 15] = x
        break
      case ALU:
        a = computed(code & 0xf0, a, operand)
        break
      case JMP:
        at += 8 * ((code & 0xf0) === 0 ? k : view.getUint8(at + (holds(code & 0xf0, a, operand) ? 2 : 3)))
        break
      case RET:
        return (code & 0x18) === RET_A ? a : k
      default:
        if ((code & 0xf8) === 0) x = a
        else a = x
    }
  }
  return RET_KILL_PROCESS
}

function loaded(mode: number, k: number, data: DataView, scratch: Uint32Array): number {
  if (mode === MODE_IMM) return k
  if (mode === MODE_MEM) return scratch[k & 15] ?? 0
  return mode === MODE_LEN ? SECCOMP_DATA_BYTES : data.getUint32(k, true)
}

const operations: Readonly<Record<number, (a: number, b: number) => number>> = {
  0x00: (a, b) => a + b,
  0x10: (a, b) => a - b,
  0x20: (a, b) => Math.imul(a, b),
  0x30: (a, b) => (b === 0 ? 0 : Math.trunc(a / b)),
  0x40: (a, b) => a | b,
  0x50: (a, b) => a & b,
  0x60: (a, b) => (b > 31 ? 0 : a << b),
  0x70: (a, b) => (b > 31 ? 0 : a >>> b),
  0x80: (a) => -a,
  0xa0: (a, b) => a ^ b,
}

const computed = (operation: number, a: number, b: number): number => (operations[operation]?.(a, b) ?? 0) >>> 0

function holds(comparison: number, a: number, b: number): boolean {
  if (comparison === 0x10) return a === b
  if (comparison === 0x20) return a > b
  if (comparison === 0x30) return a >= b
  return (a & b) !== 0
}

/** The actions that it may return; undefined among them for one that it computes. */
export function actionsIn(filter: Uint8Array): (number | undefined)[] {
  const view = new DataView(filter.buffer, filter.byteOffset, filter.byteLength)
  const values: (number | undefined)[] = []
  for (let at = 0; at + 8 <= filter.length; at += 8) {
    const code = view.getUint16(at, true)
    if ((code & 7) === RET) values.push((code & 0x18) === RET_A ? undefined : (view.getUint32(at + 4, true) & ACTION) >>> 0)
  }
  return values
}
