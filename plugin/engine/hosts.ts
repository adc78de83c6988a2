import { type Host, openHost } from '../../core/index.js'

/** The process that makes sandboxes, or another one when somebody has killed that. */
export class Hosts {
  #host: Promise<Host> = openHost()

  async current(): Promise<Host> {
    const opened = this.#host
    const host = await opened
    if (!host.isGone) return host
    // Not disposed of: that would take the copies of tests that run with it, which do not need it any more.
    if (this.#host === opened) this.#host = openHost()
    return this.current()
  }
}
