/** Where an ordinary user may make namespaces: in a user namespace of their own, which this process enters by executing itself again. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { initProgramPath, native } from '../../native/index.js'
import { UnsupportedError } from '../errors.js'

const CAP_SYS_ADMIN = 21n
/** Keeps a process that got no capabilities there from trying for ever. */
const ENTERED = 'THAW_IN_USER_NAMESPACE'

export function mayMakeNamespaces(): boolean {
  const effective = /^CapEff:\s*(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return ((BigInt(`0x${effective}`) >> CAP_SYS_ADMIN) & 1n) === 1n
}

/** Does not return where it enters: the command begins anew, in the same process. @throws UnsupportedError THAW_NO_NAMESPACES */
export function enterUserNamespace(): void {
  if (mayMakeNamespaces() || process.env[ENTERED] !== undefined) {
    delete process.env[ENTERED]
    return
  }
  const refused = refusal()
  if (refused !== undefined)
    throw new UnsupportedError(
      'THAW_NO_NAMESPACES',
      `Cannot make namespaces: this user lacks CAP_SYS_ADMIN, and a user namespace is refused (${refused}). Run as root, or allow user namespaces: sysctl user.max_user_namespaces and, on Ubuntu, kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile that permits unshare.`,
    )
  process.env[ENTERED] = '1'
  native.execute(initProgramPath(), ['userns', process.execPath, ...process.execArgv, ...process.argv.slice(1)])
}

const TROUBLE = 3

/** Tried by a program that then only complains about its usage, so that a refusal is ours to tell. */
export function refusal(): string | undefined {
  const { status, stderr, error } = spawnSync(initProgramPath(), ['userns', initProgramPath()], { encoding: 'utf8' })
  if (error === undefined && status !== TROUBLE) return undefined
  return error?.message ?? stderr.trim().replace(/^thaw-init: /, '')
}
