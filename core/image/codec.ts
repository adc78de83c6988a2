/** Metadata to bytes and back (protobuf). Kinds of descriptions are told apart by the field they stand in. */
import { ImageError } from '../errors.js'
import { thaw } from './generated/thaw.js'
import { damaged } from './manifest.js'
import type { DescriptionModel, ImageModel } from './model.js'
import { missingIn } from './required.js'
import { IMAGE_VERSION } from './version.js'

export function encodeImage(image: ImageModel): Uint8Array {
  const descriptions = image.descriptions.map(({ kind, payload, ...common }) => ({ ...common, [camelCase(kind)]: payload }))
  return thaw.Image.encode(thaw.Image.fromObject({ ...image, descriptions })).finish()
}

/** @throws ImageError THAW_IMAGE_DAMAGED, THAW_IMAGE_VERSION */
export function decodeImage(bytes: Uint8Array, path: string): ImageModel {
  const object = decode(bytes, path)
  if (object.formatVersion !== IMAGE_VERSION)
    throw new ImageError(
      'THAW_IMAGE_VERSION',
      `Cannot read ${path}: it has image format ${object.formatVersion}, this version reads ${IMAGE_VERSION}. Make a new checkpoint.`,
      { path },
    )
  const missing = missingIn(object)
  if (missing !== undefined) throw damaged(path, `it has no ${missing}`)
  const descriptions = object.descriptions.map(({ kind, ...rest }): DescriptionModel => {
    const { id, flags, ownerType, owner, signal } = rest
    return { id, flags, ownerType, owner, signal, kind: snakeCase(kind), payload: rest[kind] }
  })
  return { ...object, descriptions }
}

type Decoded = Omit<ImageModel, 'descriptions'> & { descriptions: (Omit<DescriptionModel, 'payload'> & Record<string, unknown>)[] }

function decode(bytes: Uint8Array, path: string): Decoded {
  try {
    const message = thaw.Image.decode(bytes)
    const object = withOwnBytes(
      thaw.Image.toObject(message, { longs: BigInt, defaults: true, arrays: true, oneofs: true }),
    ) as unknown as Decoded
    if (!object.descriptions.every((description) => 'kind' in description)) throw new Error('a description of no kind')
    return object
  } catch (cause) {
    throw new ImageError('THAW_IMAGE_DAMAGED', `Cannot read ${path}: it is not what was written. Make a new checkpoint.`, { path, cause })
  }
}

/** Bytes as the collectors give them. protobufjs gives parts of what was read, as Buffers, which have a `slice` of another meaning. */
function withOwnBytes(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (typeof value !== 'object' || value === null) return value
  const holder = value as Record<string, unknown>
  for (const [key, field] of Object.entries(holder)) if (typeof field === 'object') holder[key] = withOwnBytes(field)
  return value
}

const camelCase = (name: string): string => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
