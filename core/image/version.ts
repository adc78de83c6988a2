/** Version of the image format: images of another version are refused. */
export const IMAGE_VERSION = 5
