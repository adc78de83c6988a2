import { defineConfig } from 'vitest/config'
import thaw from 'vitest-thaw'

export default defineConfig({ plugins: [thaw()] })
