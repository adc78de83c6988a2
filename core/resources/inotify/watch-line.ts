/** A watch as fdinfo prints it (fs/notify/fdinfo.c), all in hexadecimal. */

export interface SeenWatch {
  readonly descriptor: number
  readonly inode: bigint
  /** Of the super block, as the kernel packs it: major << 20 | minor. */
  readonly device: number
  /** IN_* of linux/inotify.h, with IN_ONESHOT and IN_EXCL_UNLINK. */
  readonly mask: number
  /** Type and bytes as name_to_handle_at(2) gives them, `1:8b055200`; empty where the file system has none. */
  readonly handle: string
}

const watchLine =
  /^inotify wd:([0-9a-f]+) ino:([0-9a-f]+) sdev:([0-9a-f]+) mask:([0-9a-f]+)(?:.* fhandle-type:([0-9a-f]+) f_handle:([0-9a-f]+))?/

/** Undefined for another line. */
export function parseWatch(line: string): SeenWatch | undefined {
  const [, descriptor, inode, device, mask, type, handle] = watchLine.exec(line) ?? []
  if (descriptor === undefined) return undefined
  const number = (text: string | undefined): number => Number.parseInt(text ?? '0', 16)
  return {
    descriptor: number(descriptor),
    inode: BigInt(`0x${inode}`),
    device: number(device),
    mask: number(mask),
    handle: handle === undefined ? '' : `${number(type)}:${handle}`,
  }
}
