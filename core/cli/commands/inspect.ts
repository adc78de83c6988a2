/** thaw inspect DIR: what is in an image, or the programs that bring it back. */
import type { Command } from 'commander'
import { openImage } from '../../image/image.js'
import type { ImageModel } from '../../image/model.js'
import { printBundle, printOperation } from '../../program/print.js'
import type { Plan } from '../../restore/plan.js'
import { rehearse } from '../../restore/rehearsal.js'
import { withOutputOptions } from '../arguments.js'
import { describeImage } from '../describe-image.js'
import type { Output, OutputOptions } from '../output.js'
import type { Perform } from '../run.js'

interface InspectOptions extends OutputOptions {
  readonly program?: boolean
}

export function addInspect(program: Command, perform: Perform): void {
  const command = program
    .command('inspect')
    .description('Show what an image holds: processes, memory, descriptors.')
    .argument('<dir>', 'folder that the image was written to')
    .option('--program', 'print the programs that bring it back, in the manner of strace')
  withOutputOptions(command).action((folder: string, options: InspectOptions) =>
    perform(options, (output) => inspect(folder, options, output)),
  )
}

async function inspect(folder: string, { program, verbose }: InspectOptions, output: Output): Promise<void> {
  await using image = await openImage(folder)
  const { model, sizeBytes } = image
  if (program === true) return showProgram(model, output)
  output.result(
    { images: folder, sizeBytes, ...model, blobs: model.blobs.map((blob) => blob.length) },
    describeImage(model, { mappings: verbose === true }),
  )
}

function showProgram(model: ImageModel, output: Output): void {
  const { bundle } = rehearse(model)
  output.result(programObject(bundle), printBundle(bundle))
}

const programObject = (bundle: Plan['bundle']): unknown => ({
  programs: bundle.programs.map(({ name, ops }) => ({
    name,
    operations: ops.map((op) => ({ purpose: op.purpose, text: printOperation(op) })),
  })),
})
