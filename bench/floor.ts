/** The floor (floor.c), kept running so that it can be measured in turn with what stands on it. */
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'

const PROGRAM = fileURLToPath(new URL('../build/Release/floor', import.meta.url))

export interface FloorOptions {
  readonly megabytes: number
  /** Beside the first of each process. */
  readonly threads: number
  readonly processes: number
  readonly network: 'new' | 'host'
}

export class Floor implements AsyncDisposable {
  readonly #end: () => Promise<unknown>
  readonly #write: (text: string) => void
  readonly #lines: AsyncIterator<string>

  static async open({ megabytes, threads, processes, network }: FloorOptions): Promise<Floor> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: npm run build`)
    const options = { '--mb': megabytes, '--threads': threads, '--processes': processes, '--net': network === 'new' ? 1 : 0, '--repeat': 0 }
    const child = execa(PROGRAM, Object.entries(options).flat().map(String), { buffer: false, stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const floor = new Floor(
      (text) => child.stdin.write(text),
      lines,
      () => {
        child.stdin.end()
        return child
      },
    )
    await floor.#next()
    return floor
  }

  private constructor(write: (text: string) => void, lines: AsyncIterator<string>, end: () => Promise<unknown>) {
    this.#write = write
    this.#lines = lines
    this.#end = end
  }

  /** Milliseconds, as it measures itself. */
  async measure(): Promise<number> {
    this.#write('\n')
    return Number(await this.#next())
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error('the floor ended')
    return value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end()
  }
}
