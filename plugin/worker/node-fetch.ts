// Taken when the worker starts, whatever a test makes of them. An environment's `fetch` stands behind a getter (`populateGlobal` of
// Vitest), or the whole global object is the environment's. A getter that is there only to be lazy is a value once it has been read.
const { fetch: current, happyDOM } = globalThis as { readonly fetch: typeof fetch; readonly happyDOM?: unknown }
const ofEnvironment = happyDOM !== undefined || Object.getOwnPropertyDescriptor(globalThis, 'fetch')?.get !== undefined

/**
 * A `fetch` that takes a dispatcher. That is Node's own, unless the environment of the tests has put one over it, which would ask the
 * host: environments come before anything of ours.
 */
export async function nodeFetch(): Promise<typeof fetch> {
  if (!ofEnvironment) return current
  const [undici, forms] = (await Promise.all([
    import('undici/lib/web/fetch/index.js' as string),
    import('undici/lib/web/fetch/formdata.js' as string),
  ])) as [{ default: { fetch: typeof fetch } }, { default: { FormData: typeof FormData } }]

  // It knows requests and forms of its own only. Those of a test are the environment's, or Node's.
  return async (input, init) => {
    const [target, rest] = input instanceof Request ? [input.url, { ...(await partsOf(input)), ...init }] : [input, init ?? {}]
    const body = rest.body instanceof FormData ? copyOf(rest.body, new forms.default.FormData()) : rest.body
    return undici.default.fetch(target, { ...rest, body: body ?? null })
  }
}

async function partsOf(request: Request): Promise<RequestInit> {
  const { method, headers, redirect, signal } = request
  return { method, headers, redirect, signal, body: request.body && (await request.arrayBuffer()) }
}

function copyOf(form: FormData, copy: FormData): FormData {
  for (const [name, value] of form) {
    if (typeof value === 'string') copy.append(name, value)
    else copy.append(name, value, value.name)
  }
  return copy
}
