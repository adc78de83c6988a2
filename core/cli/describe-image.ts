/** An image in words: the tree, its memory, its descriptors. */
import type { DescriptionModel, ImageModel, Mapping, ProcessModel } from '../image/model.js'
import { MappingKind } from '../image/model.js'
import { describeDescription } from './describe-description.js'
import { describeTree } from './describe-tree.js'
import { bytes } from './units.js'
import { nameText } from '../resources/task-name.js'

const PAGE_BYTES = 4096

export interface DescribeOptions {
  /** List every mapping. */
  readonly mappings: boolean
}

export function describeImage(image: ImageModel, options: DescribeOptions): string {
  const taken = new Date(Number(image.clocks.realtime / 1_000_000n)).toISOString()
  const lines = [`Taken ${taken} on kernel ${image.machine.kernelRelease}`, ...describeTree(image)]
  for (const process of image.processes) lines.push('', ...describeProcess(process, image.descriptions, options))
  return lines.join('\n')
}

function describeProcess(process: ProcessModel, descriptions: readonly DescriptionModel[], options: DescribeOptions): string[] {
  const { pid, parentPid, groupId, sessionId, threads, memory, fileSystem } = process
  return [
    `pid ${pid} (${nameText(threads[0]?.name)})`,
    `  parent       ${parentPid === 0 ? 'outside' : parentPid}, process group ${groupId}, session ${sessionId}`,
    `  program      ${memory.executable.path}`,
    `  working dir  ${fileSystem.workingDirectory}${fileSystem.removed === null ? '' : ' (deleted)'}`,
    `  threads      ${threads.map(({ tid, name }) => `${tid} ${nameText(name)}`).join(', ')}`,
    `  memory       ${describeMemory(process)}`,
    ...(options.mappings ? memory.mappings.map((mapping) => `    ${describeMapping(mapping)}`) : []),
    '  descriptors',
    ...process.descriptors.map(
      ({ fd, description }) => `    ${String(fd).padStart(4)}  ${describeDescription(descriptions.find(({ id }) => id === description))}`,
    ),
  ]
}

function describeMemory({ memory: { mappings, pages } }: ProcessModel): string {
  const mapped = mappings.reduce((sum, { start, end }) => sum + Number(end - start), 0)
  const kept = pages.reduce((sum, { pageCount }) => sum + Number(pageCount) * PAGE_BYTES, 0)
  return `${bytes(mapped)} in ${mappings.length} mappings, ${bytes(kept)} kept`
}

const kindNames = new Map<MappingKind, string>(Object.entries(MappingKind).map(([name, kind]) => [kind, name]))

function describeMapping({ start, end, protection, kind, file, name, sharedMemory }: Mapping): string {
  const rights = ['r', 'w', 'x'].map((letter, bit) => ((protection >> bit) & 1 ? letter : '-')).join('')
  return `${start.toString(16)}-${end.toString(16)} ${rights} ${file?.path ?? (name || (kindNames.get(kind) ?? ''))}${sharedMemory === 0 ? '' : ` (shared memory ${sharedMemory})`}`
}
