/** Words of the language, which are not names of anything. Without `import`: its modules and its `meta` are those of the file. */
const KEYWORDS = new Set(
  (
    'arguments async await break case catch class const continue debugger default delete do else export extends false finally for function get if ' +
    'import in instanceof let new null of return set static super switch this throw true try typeof undefined var void while with yield'
  ).split(' '),
)
const STRINGS_AND_COMMENTS = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g
const KEYS = /([{,]\s*)[\w$]+\s*:/g
const NAMES = /[A-Za-z_$][\w$]*/g
/** Not a property after a dot. */
const USED_NAMES = /(?<![\w$.])[A-Za-z_$][\w$]*/g
const DECLARATIONS = /\b(?:const|let|var|function|class|catch)\s*\(?\s*(\{[^}]*\}|\[[^\]]*\]|[\w$]+)/g

/**
 * Whether a function may use names from around it, judged by its source. Errs on the side of yes: words in pattern literals and templates
 * count, and names that are declared in ways not thought of here.
 */
export function mayCapture(source: string): boolean {
  const code = source.replace(STRINGS_AND_COMMENTS, "''").replaceAll('...', ' ')
  const declared = new Set(declaredBy(parameters(code)))
  for (const [, names] of code.matchAll(DECLARATIONS)) for (const name of declaredBy(names ?? '')) declared.add(name)
  return [...code.replace(KEYS, '$1').matchAll(USED_NAMES)].some(
    ([name]) => !KEYWORDS.has(name) && !declared.has(name) && !(name in globalThis),
  )
}

/** What stands in the outermost function's parentheses, or before its arrow. */
function parameters(code: string): string {
  const open = code.indexOf('(')
  const arrow = code.indexOf('=>')
  if (open === -1 || (arrow !== -1 && arrow < open)) return code.slice(0, arrow)
  let depth = 0
  for (let at = open; at < code.length; at++) {
    if (code[at] === '(') depth++
    else if (code[at] === ')' && --depth === 0) return code.slice(open, at)
  }
  return ''
}

/** A default may be a name from outside. */
const declaredBy = (pattern: string): string[] => (pattern.includes('=') ? [] : (pattern.match(NAMES) ?? []))
