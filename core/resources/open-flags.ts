/** Flags of open(2) on x86-64 (asm-generic/fcntl.h), as fdinfo prints them, and the types of st_mode (inode(7)). */

export const O_ACCMODE = 0o3
export const O_RDONLY = 0
export const O_WRONLY = 0o1
export const O_RDWR = 0o2
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_NOCTTY = 0o400
export const O_APPEND = 0o2000
export const O_NONBLOCK = 0o4000
export const O_ASYNC = 0o20000
export const O_DIRECT = 0o40000
/** In every description: the kernel sets it for 64-bit programs. */
export const O_LARGEFILE = 0o100000
export const O_DIRECTORY = 0o200000
export const O_NOFOLLOW = 0o400000
export const O_NOATIME = 0o1000000
export const O_CLOEXEC = 0o2000000
export const O_PATH = 0o10000000
/** With O_DIRECTORY in it. */
export const O_TMPFILE = 0o20200000

export const AT_FDCWD = -100

export const S_IFMT = 0o170000
export const S_IFIFO = 0o010000
export const S_IFCHR = 0o020000
export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000
export const S_IFBLK = 0o060000
export const S_IFLNK = 0o120000
export const S_IFSOCK = 0o140000
