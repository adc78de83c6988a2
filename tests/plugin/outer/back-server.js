/** Counts lines and connections. */
import { createServer } from 'node:net'

let lines = 0
let connections = 0
createServer((socket) => {
  connections++
  socket.on('data', (bytes) => {
    for (const _ of bytes.toString().trim().split('\n'))
      socket.write(JSON.stringify({ lines: ++lines, connections, pid: process.pid }) + '\n')
  })
}).listen(4000)
