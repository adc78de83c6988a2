/** All that is carried, or refused, by name. Each says so where it is done; adding a resource is adding a line here or in kinds.ts. */
import { support as ownChild } from './checkpoint/own-child.js'
import { support as pages } from './checkpoint/pages.js'
import { support as restorable } from './checkpoint/restorable.js'
import { support as scratch } from './checkpoint/scratch.js'
import { support as seize } from './checkpoint/seize.js'
import { support as sessions } from './checkpoint/sessions.js'
import { support as sleep } from './checkpoint/sleep.js'
import { support as surveyEntry } from './checkpoint/survey-entry.js'
import { support as surveyNamespaces } from './checkpoint/survey-namespaces.js'
import { support as surveySharing } from './checkpoint/survey-sharing.js'
import { support as surveySplit } from './checkpoint/survey-split.js'
import { support as surveyThreads } from './checkpoint/survey-threads.js'
import { support as survey } from './checkpoint/survey.js'
import { support as tree } from './checkpoint/tree.js'
import { support as userDispatch } from './checkpoint/user-dispatch.js'
import { support as writeExec } from './checkpoint/write-exec.js'
import { support as clocks } from './resources/clocks.js'
import { support as credentials } from './resources/credentials.js'
import { support as deletedMapping } from './resources/deleted-mapping.js'
import { support as descriptors } from './resources/descriptors.js'
import { support as fileLocks } from './resources/file-locks.js'
import { support as filePath } from './resources/file-path.js'
import { support as fileSystem } from './resources/file-system.js'
import { support as intervalTimers } from './resources/interval-timers.js'
import { descriptionKinds } from './resources/kinds.js'
import { support as jobControl } from './resources/job-control.js'
import { support as limits } from './resources/limits.js'
import { support as mappedOnly } from './resources/mapped-only.js'
import { support as mappings } from './resources/mappings.js'
import { support as memfd } from './resources/memfd.js'
import { support as memoryPolicy } from './resources/memory-policy.js'
import { support as owner } from './resources/owner.js'
import { support as pendingSignals } from './resources/pending-signals.js'
import { support as posixTimers } from './resources/posix-timers.js'
import { support as processSettings } from './resources/process-settings.js'
import { support as procFile } from './resources/proc-file.js'
import { support as protectionKeys } from './resources/protection-keys.js'
import { support as rseq } from './resources/rseq.js'
import { support as scheduling } from './resources/scheduling.js'
import { support as seccomp } from './resources/seccomp.js'
import { support as sharedMemory } from './resources/shared-memory.js'
import { support as sharedOutside } from './resources/shared-outside.js'
import { support as signalActions } from './resources/signal-actions.js'
import { support as memoryFiles } from './resources/memory-files.js'
import { support as sysvSegment } from './resources/sysv-segment.js'
import { support as sysvSemaphores } from './resources/sysv-semaphores.js'
import { support as threadSettings } from './resources/thread-settings.js'
import { support as vdso } from './resources/vdso.js'
import { support as family } from './restore/family.js'
import { support as openFiles } from './restore/open-files.js'
import type { Support } from './resources/support.js'

/** In the order in which they are told. */
export const supports: readonly Support[] = [
  tree,
  sessions,
  family,
  jobControl,
  survey,
  ownChild,
  seize,
  userDispatch,
  writeExec,
  surveyThreads,
  surveySharing,
  surveyNamespaces,
  surveyEntry,
  surveySplit,
  sleep,
  credentials,
  threadSettings,
  scheduling,
  rseq,
  signalActions,
  pendingSignals,
  intervalTimers,
  posixTimers,
  limits,
  fileSystem,
  processSettings,
  seccomp,
  mappings,
  sharedMemory,
  sharedOutside,
  sysvSegment,
  deletedMapping,
  mappedOnly,
  protectionKeys,
  memoryPolicy,
  pages,
  scratch,
  restorable,
  vdso,
  memfd,
  descriptors,
  openFiles,
  owner,
  fileLocks,
  procFile,
  clocks,
  memoryFiles,
  sysvSemaphores,
  filePath,
  ...descriptionKinds.map(({ support }) => support),
]
