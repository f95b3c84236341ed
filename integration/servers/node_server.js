// Node's http server: it answers every request with 200 and writes a line for it into its log.
// Usage: node node_server.js ADDRESS PORT LOG
const fs = require('fs');
const http = require('http');

const [address, port, file] = process.argv.slice(2);
const log = fs.openSync(file, 'a');
const server = http.createServer((request, response) => {
  const said = `${request.method} ${request.url}`.replace(/[^ -~]/g, '?');
  fs.writeSync(log, `${said}\n`);
  request.on('error', () => {});
  request.on('end', () => response.end(`ok ${said}\n`));
  request.resume();
});
server.listen(Number(port), address);
