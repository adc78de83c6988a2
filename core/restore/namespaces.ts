/** Which namespaces an instance enters, beside pid and time. */
const CLONE_NEWNS = 0x20000
const CLONE_NEWUTS = 0x4000000
const CLONE_NEWIPC = 0x8000000
const CLONE_NEWNET = 0x40000000

export interface NamespaceOptions {
  readonly network: 'new' | 'host'
  readonly pidNamespace?: 'new' | 'current'
}

/** As clone(2) and setns(2) take them. */
export function namespacesFor({ network, pidNamespace }: NamespaceOptions): number {
  const ownNetwork = network === 'new' ? CLONE_NEWNET : 0
  return pidNamespace === 'current' ? ownNetwork : CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | ownNetwork
}
