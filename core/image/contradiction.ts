/** Parts of an image that contradict each other, found when one is looked up in another. */
import { ImageError } from '../errors.js'

/** @param what is wrong, as a clause: `description 7 is not there` */
export const contradiction = (what: string, cause?: unknown): ImageError =>
  new ImageError('THAW_IMAGE_DAMAGED', `Cannot restore: ${what}. Parts of the image contradict each other; make a new checkpoint.`, {
    cause,
  })
