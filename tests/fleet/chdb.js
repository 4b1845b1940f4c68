// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// ClickHouse's HTTP interface, as much as tests/fleet asks for, in front of the engine that the npm package `chdb` brings: a
// present ClickHouse, where there is no server to install.
//
//   NODE_PATH=DIR/node_modules node chdb.js PORT FOLDER
'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');
const { Session } = require('chdb');

const [port, folder] = process.argv.slice(2);
const session = new Session(path.join(folder, 'db'));

// The engine takes no data behind an INSERT of its own accord: a file does.
function insert(query, body) {
	const data = path.join(folder, 'body');
	fs.writeFileSync(data, body);
	return session.query(query.replace(/FORMAT CSV$/, `SELECT * FROM file('${data}', 'LineAsString', 'line String')`));
}

function answer(url, body) {
	const query = url.searchParams.get('query');
	const format = url.searchParams.get('default_format') || 'TabSeparated';
	return query ? insert(query, body) : session.query(body.toString(), format);
}

http.createServer((request, response) => {
	const parts = [];
	request.on('data', (part) => parts.push(part));
	request.on('end', () => {
		try {
			response.end(answer(new URL(request.url, 'http://127.0.0.1'), Buffer.concat(parts)) || '');
		} catch (e) {
			response.statusCode = 500;
			response.end(String(e));
		}
	});
}).listen(Number(port), '127.0.0.1');
