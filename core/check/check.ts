/** What this machine can do, each feature with its reason. */
import { socketFeatures } from './sockets.js'
import { examine } from './feature.js'
import type { Feature, Finding } from './feature.js'
import { kernelFeatures } from './kernel.js'
import { sandboxFeatures } from './sandboxes.js'
import { tracingFeatures } from './tracing.js'

export interface CheckReport {
  readonly canCheckpoint: boolean
  readonly canRestore: boolean
  readonly features: readonly Finding[]
}

const features: readonly Feature[] = [...kernelFeatures, ...tracingFeatures, ...socketFeatures, ...sandboxFeatures]

/** @param onFeature told of each before it is tried */
export async function checkMachine(onFeature: (name: string) => void): Promise<CheckReport> {
  const findings: Finding[] = []
  for (const feature of features) {
    onFeature(feature.name)
    findings.push(await examine(feature))
  }
  const missing = (purpose: Finding['neededFor']): boolean => findings.some(({ neededFor, works }) => !works && neededFor === purpose)
  const everything = !missing('everything')
  return { canCheckpoint: everything && !missing('checkpoint'), canRestore: everything && !missing('restore'), features: findings }
}
