-- What a person does with Taper in Neovim, and what is seen then. Run by tests/editors/nvim.sh in a copy of `project`,
-- with no other configuration than the plugin.

local PATIENCE = 60000

--- All that was told of work that goes on.
local progress = {}

local function fail(message)
  io.stderr:write('FAILED: ' .. message .. '\n')
  vim.cmd('cquit 1')
end

--- Runs one check. It fails by an error.
local function check(name, run)
  local ok, message = xpcall(run, debug.traceback)
  if not ok then
    fail(name .. ': ' .. message)
  end
  io.stdout:write('\nok: ' .. name .. '\n')
end

--- Waits for what a function gives, until it is neither nil nor false. What there is instead is told by `instead`, when
--- it was waited for in vain.
local function await(what, found, instead)
  local last
  local seen = vim.wait(PATIENCE, function()
    last = found()
    return last
  end, 1)
  if not seen then
    error(('not seen: %s%s'):format(what, instead and ' but ' .. instead() or ''))
  end
  return last
end

local function client()
  return vim.lsp.get_clients({ name = 'taper' })[1]
end

--- What is drawn into a buffer beside its text by namespaces with such a name.
local function drawn(kind)
  local texts = {}
  for name, space in pairs(vim.api.nvim_get_namespaces()) do
    if name:match(kind) then
      for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true })) do
        local details = mark[4]
        local lines = vim.list_extend({ details.virt_text }, details.virt_lines or {})
        for _, line in ipairs(lines) do
          for _, chunk in ipairs(line) do
            table.insert(texts, chunk[1])
          end
        end
      end
    end
  end
  return table.concat(texts, '')
end

--- Waits until hints or lenses that are drawn hold a text.
local function await_drawn(kind, text)
  return await(('`%s` in %s'):format(text, kind), function()
    -- Of everything, so that nothing is right only because nobody looked in between.
    vim.cmd.redraw({ bang = true })
    local now = drawn(kind)
    return now:find(text, 1, true) and now
  end, function()
    return ('`%s`, after the progress %s'):format(drawn(kind), vim.inspect(progress[#progress]))
  end)
end

--- Puts the cursor where a text begins.
local function go_to(text)
  vim.fn.cursor(1, 1)
  assert(vim.fn.search('\\V' .. text, 'cW') > 0, 'the buffer has no `' .. text .. '`')
end

local function edit(path)
  vim.cmd.edit({ path, bang = true })
end

local function replace(from, to)
  go_to(from)
  local row, column = vim.fn.line('.') - 1, vim.fn.col('.') - 1
  vim.api.nvim_buf_set_text(0, row, column, row, column + #from, { to })
end

--- The answer to a request about the place of the cursor.
local function ask(method, params)
  local place = vim.lsp.util.make_position_params(0, client().offset_encoding)
  local answer = client():request_sync(method, vim.tbl_extend('force', place, params or {}), PATIENCE, 0)
  assert(answer and not answer.err, vim.inspect(answer))
  return answer.result
end

--- Applies the one action here whose title has a text.
local function act(title)
  local seen
  vim.lsp.buf.code_action({
    apply = true,
    filter = function(action)
      local is_it = action.title:find(title, 1, true) ~= nil
      seen = seen or is_it
      return is_it
    end,
  })
  await('the action ' .. title, function()
    return seen
  end)
end

vim.api.nvim_create_autocmd('LspProgress', {
  callback = function(event)
    table.insert(progress, event.data.params)
  end,
})

--- Waits for progress of such a kind, of which the given ones were already seen.
local function await_progress(kind, first)
  return await('progress: ' .. kind, function()
    for number = first or 1, #progress do
      if progress[number].value.kind == kind then
        return progress[number]
      end
    end
  end)
end

check('hints appear when a file is opened', function()
  edit('net.taper')
  await_drawn('inlay', '[N, 32, 32, 32]')
end)

check('hints follow typing', function()
  replace('Residual(32)', 'Residual(48)')
  await_drawn('inlay', '[N, 48, 32, 32]')
  replace('Residual(48)', 'Residual(32)')
  await_drawn('inlay', '[N, 32, 32, 32]')
end)

check('a hover explains a layer', function()
  go_to('Conv2d')
  vim.lsp.buf.hover()
  local text = await('a window with the hover', function()
    for _, window in ipairs(vim.api.nvim_list_wins()) do
      if vim.api.nvim_win_get_config(window).relative ~= '' then
        local buffer = vim.api.nvim_win_get_buf(window)
        return table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), '\n')
      end
    end
  end)
  assert(text:find('448', 1, true), text)
  vim.cmd.fclose({ bang = true })
end)

check('a mistake is marked, and its fix applied', function()
  replace('Linear(10)', 'Linaer(10)')
  local found = await('a diagnostic', function()
    return vim.diagnostic.get(0)[1]
  end)
  assert(found.message:find('Linaer', 1, true), found.message)
  go_to('Linaer')
  act('Linear')
  await('the fix', function()
    return vim.fn.search('\\VLinear(10)', 'nw') > 0 and #vim.diagnostic.get(0) == 0
  end)
end)

check('layers are completed', function()
  go_to('Flatten')
  vim.cmd.normal({ 'oAdaptiveAv', bang = true })
  local result = ask('textDocument/completion')
  local labels = vim.tbl_map(function(item)
    return item.label
  end, result.items or result)
  assert(vim.list_contains(labels, 'AdaptiveAvgPool2d'), vim.inspect(labels))
  vim.cmd.undo()
end)

check('a block is renamed in all files', function()
  vim.cmd.write()
  go_to('Residual(')
  vim.lsp.buf.rename('Bottleneck')
  local has = function(path, text)
    local buffer = vim.fn.bufnr(path)
    local lines = buffer > 0 and vim.api.nvim_buf_get_lines(buffer, 0, -1, false) or {}
    return table.concat(lines, '\n'):find(text, 1, true)
  end
  await('the new name in both files', function()
    return has('net.taper', 'use "block.taper": Bottleneck') and has('block.taper', 'block Bottleneck(planes)')
  end)
  vim.cmd.wall()
end)

check('a lens has totals and opens the layers', function()
  await_drawn('codelens', 'params')
  go_to('model Net')
  local choose = vim.ui.select
  vim.ui.select = function(items, _, done)
    done(items[1], 1)
  end
  vim.lsp.codelens.run()
  await('the document with the layers', function()
    return vim.fn.search('AdaptiveAvgPool2d', 'nw') > 0 and vim.bo.filetype ~= 'taper'
  end)
  vim.ui.select = choose
  edit('net.taper')
end)

check('a benchmark on the CPU ends as a hint', function()
  await_drawn('inlay', 'params')
  go_to('stem')
  act('Benchmark `Net` and its layers on cpu')
  assert(await_progress('report').value.percentage, vim.inspect(progress))
  await_progress('end')
  await_drawn('inlay', ' of peak')
end)

check('a benchmark is cancelled', function()
  replace('Conv2d(16', 'Conv2d(512')
  await_drawn('inlay', '[N, 512, 32, 32]')
  local before = #progress + 1
  go_to('stem')
  act('Benchmark `Net` and its layers on cpu')
  local token = await_progress('begin', before).token
  client():notify('window/workDoneProgress/cancel', { token = token })
  assert(await_progress('end', before).value.message:find('ancel'), vim.inspect(progress[#progress]))
  vim.cmd.undo()
end)

check('a config has hints', function()
  edit('config.json')
  await_drawn('inlay', 'params')
end)

check('other JSON is left alone', function()
  edit('package.json')
  vim.wait(300)
  assert(#vim.lsp.get_clients({ bufnr = 0 }) == 0)
end)

check('a checkpoint is shown', function()
  edit('tiny/model.safetensors')
  local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
  assert(text:find('21 tensors', 1, true), text)
  assert(not vim.bo.modifiable)
end)

check('a server that is killed is started again', function()
  edit('net.taper')
  await_drawn('inlay', 'params')
  local old = client()
  vim.uv.kill(tonumber(vim.fn.system({ 'pgrep', '-P', tostring(vim.uv.os_getpid()), '-f', 'taper lsp' })), 'sigkill')
  await('another client', function()
    local new = client()
    return new and new.id ~= old.id and new.initialized
  end)
  replace('Bottleneck(32)', 'Bottleneck(24)')
  await_drawn('inlay', '[N, 24, 32, 32]')
end)

check('the plugin is healthy', function()
  vim.cmd.checkhealth('taper')
  local report = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
  assert(report:find('a server runs', 1, true) and not report:find('ERROR', 1, true), report)
end)

vim.cmd('qall!')
