import { connect } from 'node:net'
import { inject } from 'vitest'
import { EngineError } from '../errors.js'
import { fromWire } from '../protocol/errors.js'
import { readFrames, writeFrame } from '../protocol/frames.js'
import type { EngineAt, EngineWanted, ProjectRendezvous, Rendezvous } from '../protocol/messages.js'

export function rendezvous(): ProjectRendezvous {
  const value = inject('vitest-thaw')
  if (value) return value
  throw new EngineError(
    'THAW_NO_PLUGIN',
    'vitest-thaw is not in the Vitest config. Add `plugins: [thaw()]`, with thaw imported from "vitest-thaw".',
  )
}

declare module 'vitest' {
  interface ProvidedContext {
    'vitest-thaw': ProjectRendezvous
  }
}

/** Asks Vitest's main process where the engine is; it starts the engine if nobody has asked before. */
export function askForEngine({ address, version, token }: Rendezvous): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(address)
    socket.on('error', (cause) => reject(new EngineError('THAW_NO_RUN', 'Vitest does not answer.', { cause })))
    socket.on('close', () => reject(new EngineError('THAW_NO_RUN', 'Vitest did not say where the engine is.')))
    readFrames(socket, (answer: EngineAt) => {
      if (answer.type === 'engine-at') resolve(answer.address)
      else reject(fromWire(answer.error))
      socket.destroy()
    })
    writeFrame(socket, { type: 'engine-wanted', version, token } satisfies EngineWanted)
  })
}
