/**
 * Multicast groups that were joined (ip(7), ipv6(7)): sockets do not tell theirs, but network namespaces list all. A socket that may be the
 * one that joined is refused, since its groups cannot be carried.
 */
import { readFileSync } from 'node:fs'
import { homeOf } from '../description.js'
import type { SeenDescription } from '../description.js'

/** 224.0.0.1, which every interface is in, as /proc/net/igmp prints it. */
const ALL_HOSTS = '010000E0'
/** All nodes, all routers, and the solicited-node groups of an interface's own addresses. */
const KERNELS_OWN = /^ff0[125]0{26}0[12]$|^ff020{16}0001ff[0-9a-f]{6}$/

export function hasJoinedGroups(seen: SeenDescription): boolean {
  const { pid } = homeOf(seen)
  const v4 = [...textOf(`/proc/${pid}/net/igmp`).matchAll(/^\s+([0-9A-F]{8})\s/gm)].some(([, group]) => group !== ALL_HOSTS)
  const v6 = [...textOf(`/proc/${pid}/net/igmp6`).matchAll(/^\d+\s+\S+\s+([0-9a-f]{32})\s/gm)].some(
    ([, group]) => !KERNELS_OWN.test(group ?? ''),
  )
  return v4 || v6
}

/** Empty where the kernel has no such protocol. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
