import { expect, test } from 'vitest'
import type { ImageModel, ProcessModel, ZombieModel } from '../../dist/core/image/model.js'
import { familyOf } from '../../dist/core/restore/family.js'

type Task = Pick<ZombieModel, 'pid' | 'parentPid' | 'groupId' | 'sessionId'>

const tree = (tasks: readonly Task[], zombies: readonly Task[] = []): Pick<ImageModel, 'processes' | 'zombies'> => ({
  processes: tasks.map((task) => ({ ...task, threads: [] }) as unknown as ProcessModel),
  zombies: zombies.map((task) => ({ ...task, name: '', status: 0 })),
})

const first: Task = { pid: 10, parentPid: 0, groupId: 10, sessionId: 10 }
const child = (pid: number, groupId: number): Task => ({ pid, parentPid: 10, groupId, sessionId: 10 })

test('a group whose leader is gone is founded by the first process in it, or by a zombie if there is nobody else', () => {
  expect(familyOf(tree([first, child(11, 99)], [child(12, 99)])).first).toMatchObject({
    younger: [{ pid: 11, lostGroups: [99] }, { lostGroups: [] }],
  })
  expect(familyOf(tree([first], [child(12, 99)])).first).toMatchObject({ lostGroups: [], younger: [{ pid: 12, lostGroups: [99] }] })
})

test('a leader that has moved to another group is no reason to found its own', () => {
  const { younger } = familyOf(tree([first, child(11, 10), child(12, 11)])).first
  expect(younger.map(({ lostGroups }) => lostGroups)).toEqual([[], []])
})

test("leaders in each other's groups are refused by name", () => {
  for (const tasks of [
    [first, child(11, 12), child(12, 11)],
    [first, child(11, 12), child(12, 13), child(13, 11)],
  ])
    expect(() => familyOf(tree(tasks))).toThrow(expect.objectContaining({ name: 'UnsupportedError', code: 'THAW_GROUP', pid: 11 }))
})

test('a session that nobody of the tree has led is refused by name', () => {
  expect(() => familyOf(tree([first, { ...child(11, 11), sessionId: 77 }]))).toThrow(
    expect.objectContaining({ name: 'UnsupportedError', code: 'THAW_SESSION', pid: 11 }),
  )
})
