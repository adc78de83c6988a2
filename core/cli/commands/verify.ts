/** thaw verify DIR: digests and structure of an image, without restoring it. */
import type { Command } from 'commander'
import { openImage } from '../../image/image.js'
import { withOutputOptions } from '../arguments.js'
import type { Output, OutputOptions } from '../output.js'
import type { Perform } from '../run.js'
import { bytes } from '../units.js'

export function addVerify(program: Command, perform: Perform): void {
  const command = program
    .command('verify')
    .description('Check that an image is complete and undamaged.')
    .argument('<dir>', 'folder that the image was written to')
  withOutputOptions(command).action((folder: string, options: OutputOptions) => perform(options, (output) => verify(folder, output)))
}

async function verify(folder: string, output: Output): Promise<void> {
  output.step('verify: digests')
  await using image = await openImage(folder, 'everything')
  const { processes, sizeBytes } = image
  output.result(
    { images: folder, processes, sizeBytes },
    `${folder} is undamaged: ${processes.map(({ innerPid, command }) => `pid ${innerPid} (${command})`).join(', ')}, ${bytes(sizeBytes)}.`,
  )
}
