/**
 * A restore that is only compiled: it tells whether an image can be restored at all, not whether it can be here and now. So what depends on the
 * machine, the user and the moment is taken as it suits the image: with namespaces of its own, and the vDSO that the tree had.
 */
import type { ImageModel } from '../image/model.js'
import { namespacesFor } from './namespaces.js'
import { readOwn } from './own.js'
import { compile } from './plan.js'
import type { Plan } from './plan.js'
import { vdsoIn } from './vdso-move.js'

/** @throws ImageError */
export function rehearse(image: ImageModel): Plan {
  const plan = compile(image, {
    namespaces: namespacesFor({ network: 'new' }),
    pidNamespace: 'new',
    own: { ...readOwn(), vdso: vdsoIn(image) },
  })
  plan.encode()
  return plan
}
