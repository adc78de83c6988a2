import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { setPriority } from 'node:os'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { FixtureProgram } from '../fixtures/program.ts'
import { restingTurns } from '../fixtures/rest.ts'
import { compare } from './compare.ts'
import { describeProcess, type Description } from './describe.ts'
import { mappingsOf } from './memory.ts'

describe('a program that only sleeps looks the same twice', () => {
  test.each([
    'idle',
    'many-threads',
    'epoll-modes',
    'timerfd',
    'unix-rights',
    'file-locks',
    'guard-pages',
    'huge-reservation',
    'protections',
    'credentials',
  ])('%s', async (name) => {
    await using program = await FixtureProgram.start(name)
    while (restingTurns(program.pid) === undefined) await sleep(5)
    const before = describeProcess(program.pid)
    await sleep(100)
    expect(compare(before, describeProcess(program.pid), { except: name === 'timerfd' ? [/descriptor \d+: ticks/] : [] })).toEqual([])
    expect(await program.check()).toEqual(['ok'])
  })
})

describe('a change from outside is told', () => {
  const changes: [string, (pid: number) => void, RegExp][] = [
    ['nice', (pid) => setPriority(pid, 3), /^pid \d+, thread \d+: nice was "0", is "3"$/],
    ['oom score', (pid) => writeFileSync(`/proc/${pid}/oom_score_adj`, '77'), /^pid \d+: oom_score_adj was "0\\n", is "77\\n"$/],
    ['timer slack', (pid) => writeFileSync(`/proc/${pid}/timerslack_ns`, '60000'), /: timer slack was "50000\\n", is "60000\\n"$/],
    ['a stop', (pid) => process.kill(pid, 'SIGSTOP'), /: state was "alive", is "T \(stopped\)"$/],
    ['one byte of memory', changeOneByte, /, mapping [^ ]+ \[stack\]: contents was "\d+ pages/],
  ]
  test.each(changes)('%s', async (_, change, expected) => {
    await using program = await FixtureProgram.start('idle')
    const before = describeProcess(program.pid)
    change(program.pid)
    await sleep(20)
    const differences = compare(before, describeProcess(program.pid))
    expect(differences).toContainEqual(expect.stringMatching(expected))
    // A state comes with a priority, nothing else with anything.
    expect(differences.length).toBeLessThanOrEqual(2)
  })
})

describe('a change by the program itself is told', () => {
  const changes: [string, RegExp][] = [
    ['os.umask(0o077)', /: Umask was "\d+", is "0077"$/],
    ['os.chdir("/tmp")', /^pid \d+: cwd was ".*", is "\/tmp"$/],
    ['os.open("/dev/zero", os.O_RDWR | os.O_NONBLOCK)', /, descriptor \d+ is new$/],
    ['os.close(kept)', /, descriptor \d+ is gone$/],
    ['os.lseek(file, 5, os.SEEK_SET)', /, descriptor \d+: pos was "0", is "5"$/],
    ['os.dup2(ends[0], ends[1])', /, descriptor \d+: flags was "02000001", is "00"$/],
    ['signal.signal(signal.SIGUSR1, signal.SIG_IGN)', /: SigIgn was "/],
    ['signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])', /: SigBlk was "/],
    ['resource.setrlimit(resource.RLIMIT_CORE, (1, 1))', /^pid \d+: limit core file size was ".*", is "1 1 bytes"$/],
    ['mapped[5] = 9', /, mapping [^ ]+ \/dev\/zero \(deleted\): contents was "zeros", is "1 pages|: contents was "/],
    ['another = mmap.mmap(-1, 1 << 20)', /, mapping [^ ]+ \/dev\/zero \(deleted\) is new$/],
    ['mapped.madvise(mmap.MADV_DONTFORK)', /: flags was ".*", is ".* dc.*"$/],
    ['os.setgroups([4])', /: Groups was "/],
    ['os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))', /: policy was "0", is "3"$/],
    ['threading.Thread(target=time.sleep, args=(60,), daemon=True).start()', /^pid \d+, thread \d+ is new$/],
    ['os.posix_spawn("/bin/sleep", ["sleep", "60"], {})', /^pid \d+ is new$/],
  ]
  test.each(changes)('%s', async (statement, expected) => {
    await using python = await Interpreter.start()
    const before = python.describe()
    await python.run(statement)
    expect(compare(before, python.describe())).toContainEqual(expect.stringMatching(expected))
  })

  test('nothing, in nothing', async () => {
    await using python = await Interpreter.start()
    const before = python.describe()
    await python.run('0')
    expect(compare(before, python.describe(), { except: [/: contents$/] })).toEqual([])
  })
})

describe('what may differ', () => {
  test('is named', () => {
    const before = facts({ 'pid 7: cwd': '/a', 'pid 7, descriptor 1: target': 'pipe open as 7/1' })
    const after = facts({ 'pid 7: cwd': '/b', 'pid 7, descriptor 1: target': 'socket open as 7/1' })
    expect(compare(before, after, { except: [/descriptor [012]:/] })).toEqual(['pid 7: cwd was "/a", is "/b"'])
    expect(compare(before, after, { except: ['descriptor 1', 'pid 7: cwd'] })).toEqual([])
  })

  test('is the mapping that a restore leaves behind, and no other', () => {
    const after = facts({
      'pid 7, mapping 1000-2000 /memfd:thaw-restorer (deleted): permissions': 'r-xp',
      'pid 7, mapping 3000-4000 /x/thaw/y: permissions': 'r-xp',
    })
    expect(compare(facts({}), after)).toEqual(['pid 7, mapping 3000-4000 /x/thaw/y is new'])
  })
})

function facts(entries: Record<string, string>): Description {
  return { facts: new Map(Object.entries(entries)) }
}

/** Below everything that the program uses of its stack, so that it does not mind. */
function changeOneByte(pid: number): void {
  const stack = mappingsOf(pid).find(({ path }) => path === '[stack]')
  const mem = openSync(`/proc/${pid}/mem`, 'r+')
  writeSync(mem, Buffer.from([1]), 0, 1, stack!.start + 64)
  closeSync(mem)
}

/** A Python that runs one statement at a time. */
class Interpreter implements AsyncDisposable {
  static readonly #program = `
import mmap, os, resource, signal, sys, threading, time
file = os.open(sys.executable, os.O_RDONLY)
kept = os.open("/dev/null", os.O_RDONLY)
ends = os.pipe()
mapped = mmap.mmap(-1, 1 << 20)
print("up", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
`
  readonly #child = spawn('taskset', ['--cpu-list', '0', process.env['PYTHON'] ?? 'python3', '-c', Interpreter.#program], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  })
  readonly #lines = createInterface(this.#child.stdout)

  static async start(): Promise<Interpreter> {
    const interpreter = new Interpreter()
    await once(interpreter.#lines, 'line')
    return interpreter
  }

  describe(): Description {
    return describeProcess(this.#child.pid!)
  }

  async run(statement: string): Promise<void> {
    const done = once(this.#lines, 'line')
    this.#child.stdin.write(`${statement}\n`)
    await done
    await sleep(20)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'exit')
    const children = readFileSync(`/proc/${this.#child.pid}/task/${this.#child.pid}/children`, 'utf8')
    for (const pid of children.split(' ').filter(Boolean)) process.kill(Number(pid), 'SIGKILL')
    this.#child.kill('SIGKILL')
    await gone
  }
}
