import { expect, test } from 'vitest'
import type { ImageModel, ProcessModel, ZombieModel } from '../../dist/core/image/model.js'
import { familyOf } from '../../dist/core/restore/family.js'

type Task = Pick<ZombieModel, 'pid' | 'parentPid' | 'groupId' | 'sessionId'>

const tree = (tasks: readonly Task[], zombies: readonly Task[] = []): Pick<ImageModel, 'processes' | 'zombies'> => ({
  processes: tasks.map((task) => ({ ...task, threads: [] }) as unknown as ProcessModel),
  zombies: zombies.map((task) => ({ ...task, name: new Uint8Array(), status: 0 })),
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
  expect(younger).toMatchObject([{ lostGroups: [] }, { lostGroups: [] }])
})

test("leaders in each other's groups are refused by name", () => {
  for (const tasks of [
    [first, child(11, 12), child(12, 11)],
    [first, child(11, 12), child(12, 13), child(13, 11)],
  ])
    expect(() => familyOf(tree(tasks))).toThrow(expect.objectContaining({ name: 'UnsupportedError', code: 'THAW_GROUP', pid: 11 }))
})

test('who stayed in the session that its parent has left is forked before, by a grandparent too', () => {
  const left: Task = { pid: 11, parentPid: 10, groupId: 11, sessionId: 11 }
  const stayed = (parentPid: number): Task => ({ pid: 12, parentPid, groupId: 10, sessionId: 10 })
  expect(familyOf(tree([first, left, stayed(11)])).first).toMatchObject({ younger: [{ pid: 11, elder: [{ pid: 12 }], younger: [] }] })
  const orphans = familyOf(
    tree([
      { ...first, sessionId: 10 },
      { ...stayed(0), pid: 13 },
      { ...left, parentPid: 13 },
      { ...stayed(11), pid: 14 },
    ]),
  )
  expect(orphans.first.younger).toMatchObject([{ pid: 13, parentPid: 0, younger: [{ pid: 11, elder: [{ pid: 14 }] }] }])
})

test('orphans of a session whose leader is gone are forked by one that founds it', () => {
  const orphan = (pid: number, parentPid: number): Task => ({ pid, parentPid, groupId: 77, sessionId: 77 })
  const { founded, lostSession, first: root } = familyOf(tree([first, orphan(11, 0), orphan(12, 0)]))
  expect({ founded, lostSession }).toEqual({ founded: new Set([77]), lostSession: undefined })
  const lostGroups: number[] = []
  expect(root.younger).toMatchObject([
    {
      pid: 77,
      parentPid: 0,
      members: [
        { pid: 11, lostGroups },
        { pid: 12, lostGroups },
      ],
    },
  ])
  expect(familyOf(tree([first, child(11, 10), orphan(12, 10), child(13, 10), orphan(14, 10)])).first.younger).toMatchObject([
    { pid: 11 },
    { pid: 77, parentPid: 10, members: [{ pid: 12 }, { pid: 14 }] },
    { pid: 13 },
  ])
})

test('orphans of a session whose leader lives are forked by that leader, where they have one parent', () => {
  const leader: Task = { pid: 20, parentPid: 0, groupId: 20, sessionId: 20 }
  const orphan: Task = { pid: 21, parentPid: 0, groupId: 20, sessionId: 20 }
  expect(familyOf(tree([first, leader, orphan])).first.younger).toMatchObject([{ pid: 20, younger: [{ pid: 21, parentPid: 0 }] }])
})

test('orphans that init has adopted are forked by the leader of their session, be it a zombie', () => {
  const leader: Task = { pid: 20, parentPid: 10, groupId: 20, sessionId: 20 }
  const orphan: Task = { pid: 21, parentPid: 0, groupId: 20, sessionId: 20 }
  const forked = [{ pid: 20, orphans: [{ pid: 21, parentPid: 0 }] }]
  expect(familyOf(tree([first, leader, orphan])).first.younger).toMatchObject(forked)
  expect(familyOf(tree([first, orphan], [leader])).first.younger).toMatchObject(forked)
})

test('a session that nobody who could fork its members has led is refused by name, with all of them', () => {
  const leader: Task = { pid: 20, parentPid: 11, groupId: 20, sessionId: 20 }
  const orphan = (pid: number): Task => ({ pid, parentPid: 10, groupId: 20, sessionId: 20 })
  const refused = (pid: number) => expect.objectContaining({ name: 'UnsupportedError', code: 'THAW_SESSION', pid })
  expect(() => familyOf(tree([first, child(11, 11), leader, orphan(21)]))).toThrow(refused(21))
  // A zombie forks nobody.
  expect(() => familyOf(tree([first, orphan(21)], [{ ...leader, parentPid: 10 }]))).toThrow(refused(21))
  // Its leader cannot be there before it.
  expect(() => familyOf(tree([{ ...orphan(21), parentPid: 0 }, leader, child(11, 11)]))).toThrow(refused(21))
  expect(() => familyOf(tree([first, child(11, 11), leader, orphan(21), orphan(22)]))).toThrow(
    expect.objectContaining({ code: 'THAW_SESSION', message: expect.stringMatching(/pid 21[^]*pid 22/) }),
  )
})
