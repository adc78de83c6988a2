/** What a failed step of thaw-init means to a user, and what can be done about it. */
import { SandboxError } from '../errors.js'
import { native } from '../../native/index.js'
import type { Failure } from './wire.js'

const errnoName = (errno: number): string => native.errnoNames[errno] ?? `errno ${errno}`

const noPrivilege =
  'making namespaces needs root, CAP_SYS_ADMIN or unprivileged user namespaces. Run as root, or allow user namespaces ' +
  '(sysctl user.max_user_namespaces and, on Ubuntu, kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile that permits clone)'

const advice: Readonly<Record<string, string>> = {
  'clone3 EPERM': noPrivilege,
  'clone3 ENOSPC': 'a limit on namespaces is reached: raise sysctl user.max_pid_namespaces and its like, or run fewer tests at once',
  'clone3 EAGAIN': 'a limit on processes is reached: raise it (ulimit -u, or pids.max of the control group)',
  'clone3 EINVAL': 'this kernel was built without one of the pid, mount, ipc, uts and network namespaces',
  'clone3 ENOSYS': 'clone3 is missing: it needs Linux 5.3, and a container whose seccomp profile permits it',
  'mount(/proc) EPERM':
    'parts of /proc are hidden here, and then the kernel refuses a new one: in Docker, start the container with ' +
    '--security-opt systempaths=unconfined',
  'unshare(NEWTIME) EINVAL': 'this kernel was built without time namespaces (CONFIG_TIME_NS, Linux 5.6)',
}

export function cannotMakeSandbox({ step, errno }: Failure): SandboxError {
  const reason = `${step} ${errnoName(errno)}`
  const what = `Cannot make a sandbox: ${step} failed with ${errnoName(errno)}`
  const why = advice[reason]
  return new SandboxError('THAW_NO_NAMESPACES', why === undefined ? `${what}.` : `${what}: ${why}.`, { syscall: step, errno })
}

export const tooManyDescriptors = (): SandboxError =>
  new SandboxError('THAW_NO_NAMESPACES', 'Cannot make a sandbox: too many descriptors are open here. Raise the limit (ulimit -n).', {
    syscall: 'recvmsg',
    errno: 24,
  })

export function cannotStart(command: string, directory: string, { step, errno }: Failure): SandboxError {
  const about = step === 'chdir' ? directory : command
  const message = `Cannot start ${command} in a sandbox: ${step} of ${about} failed with ${errnoName(errno)}.`
  return new SandboxError('THAW_CANNOT_START', message, { syscall: step, errno, path: about })
}

export function commandNotFound(command: string, path: string): SandboxError {
  const message = `Cannot start ${command} in a sandbox: no such program in PATH (${path}). Give its path, or add its folder to PATH.`
  return new SandboxError('THAW_CANNOT_START', message, { syscall: 'execve', errno: 2, path: command })
}

export const sandboxGone = (initPid: number): SandboxError =>
  new SandboxError('THAW_SANDBOX_GONE', `The sandbox is gone: its init (pid ${initPid}) has exited or was killed.`, { pid: initPid })

export const hostGone = (): SandboxError =>
  new SandboxError('THAW_SANDBOX_GONE', 'The process that makes sandboxes (thaw-init host) is gone: it was killed, or closed already.')
