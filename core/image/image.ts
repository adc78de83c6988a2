/** An image: in memory after a checkpoint, or opened from disk. */
import { closeSync } from 'node:fs'
import { rehearse } from '../restore/rehearsal.js'
import { Template } from '../restore/template.js'
import type { TemplateOptions } from '../restore/template.js'
import type { Host } from '../sandbox/host.js'
import type { ImageModel } from './model.js'
import { readImage, writeImage } from './store.js'
import { nameText } from '../resources/task-name.js'

export class Image implements AsyncDisposable {
  readonly model: ImageModel
  /** Of the pages; metadata comes to a few kilobytes. */
  readonly sizeBytes: number
  readonly #pageFd: number

  /** @param pageFd belongs to the image from now on */
  constructor(model: ImageModel, pageFd: number, pageBytes: bigint) {
    this.model = model
    this.sizeBytes = Number(pageBytes)
    this.#pageFd = pageFd
  }

  get processes(): { innerPid: number; command: string }[] {
    return this.model.processes.map(({ pid, threads }) => ({ innerPid: pid, command: nameText(threads[0]?.name) }))
  }

  /** Loads it into a template, from which instances are spawned. @throws ImageError, RestoreError */
  load(host: Host, options: TemplateOptions): Promise<Template> {
    return Template.load(this.model, this.#pageFd, host, options)
  }

  /** Commits it to a folder. @throws ImageError */
  write(folder: string): Promise<void> {
    return writeImage(folder, this.model, this.#pageFd, BigInt(this.sizeBytes))
  }

  [Symbol.asyncDispose](): Promise<void> {
    closeSync(this.#pageFd)
    return Promise.resolve()
  }
}

/**
 * @param verify whether the digest of the pages is checked as well, which takes reading them all, and what a restore would do is gone through
 * @throws ImageError when it is missing, damaged or of another version
 */
export async function openImage(folder: string, verify: 'structure' | 'everything' = 'structure'): Promise<Image> {
  const { model, pageFd, pageBytes } = await readImage(folder, verify)
  const image = new Image(model, pageFd, pageBytes)
  if (verify === 'everything') await rehearseOrClose(image)
  return image
}

async function rehearseOrClose(image: Image): Promise<void> {
  try {
    rehearse(image.model)
  } catch (error) {
    await image[Symbol.asyncDispose]()
    throw error
  }
}
