local M = {}

--- The server: the one that is named, else the one on the path, else where cargo installs it.
function M.server()
  local named = vim.g.taper_server or vim.env.TAPER_SERVER
  if named then
    return vim.fs.normalize(named)
  end
  local installed = vim.fs.normalize('~/.cargo/bin/taper')
  if vim.fn.executable('taper') == 0 and vim.fn.executable(installed) == 1 then
    return installed
  end
  return 'taper'
end

--- Whether a buffer has a model: a Taper file, a config of Hugging Face's, or an index of shards.
function M.is_model(buffer)
  if vim.bo[buffer].filetype == 'taper' then
    return true
  end
  local name = vim.fs.basename(vim.api.nvim_buf_get_name(buffer))
  if name:match('%.safetensors%.index%.json$') then
    return true
  end
  if name ~= 'config.json' then
    return false
  end
  local text = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), '\n')
  return text:find('"model_type"', 1, true) ~= nil or text:find('"architectures"', 1, true) ~= nil
end

--- Shows hints and lenses in a buffer, unless `vim.g.taper_hints` or `vim.g.taper_lenses` is false.
function M.show(buffer)
  if vim.g.taper_hints ~= false then
    vim.lsp.inlay_hint.enable(true, { bufnr = buffer })
  end
  if vim.g.taper_lenses == false then
    return
  end
  if vim.lsp.codelens.enable then
    vim.lsp.codelens.enable(true, { bufnr = buffer })
    return
  end
  -- Neovim 0.11 asks for lenses only when it is told to.
  local refresh = function()
    vim.lsp.codelens.refresh({ bufnr = buffer })
  end
  local group = vim.api.nvim_create_augroup('taper.lenses', { clear = false })
  vim.api.nvim_clear_autocmds({ group = group, buffer = buffer })
  local events = { 'BufEnter', 'InsertLeave', 'TextChanged' }
  vim.api.nvim_create_autocmd(events, { group = group, buffer = buffer, callback = refresh })
  refresh()
end

--- Asks for hints again, as the server wishes it, and draws them when they have come.
---
--- Neovim does it in the other order: what is drawn while the answer is under way is taken for the new hints, and the
--- old ones stay until the next edit. So here the answer is kept first, and only then is all marked to be drawn.
function M.refresh_hints(error, result, context)
  local builtin = vim.lsp.handlers
  local client = assert(vim.lsp.get_client_by_id(context.client_id))
  local is_seen = function(buffer)
    return #vim.fn.win_findbuf(buffer) > 0
  end
  local buffers = vim.tbl_filter(is_seen, vim.tbl_keys(client.attached_buffers))
  local missing = #buffers
  for _, buffer in ipairs(buffers) do
    local params = {
      textDocument = vim.lsp.util.make_text_document_params(buffer),
      range = {
        start = { line = 0, character = 0 },
        ['end'] = { line = vim.api.nvim_buf_line_count(buffer), character = 0 },
      },
    }
    client:request('textDocument/inlayHint', params, function(...)
      builtin['textDocument/inlayHint'](...)
      missing = missing - 1
      if missing == 0 and vim.lsp.get_client_by_id(context.client_id) then
        builtin['workspace/inlayHint/refresh'](error, result, context)
      end
    end, buffer)
  end
  return vim.NIL
end

--- When the server ended by itself, in seconds.
local crashes = {}

--- Starts a server again that ended by itself, unless it did so five times in three minutes.
function M.restart_after_crash(code, signal)
  if vim.v.exiting ~= vim.NIL or (code == 0 and signal == 0) then
    return
  end
  local now = os.time()
  crashes = vim.tbl_filter(function(at)
    return now - at < 180
  end, crashes)
  table.insert(crashes, now)
  vim.schedule(function()
    if #crashes < 5 then
      vim.lsp.enable('taper')
    else
      vim.notify('taper: the server ended five times in three minutes; see :checkhealth taper', vim.log.levels.ERROR)
    end
  end)
end

--- Fills a buffer with what a safetensors file holds: its tensors by module, and what is wrong.
function M.read_checkpoint(buffer, path)
  local ok, done = pcall(function()
    return vim.system({ M.server(), 'inspect', path }, { text = true }):wait()
  end)
  local text = ok and (done.code == 0 and done.stdout or done.stderr) or tostring(done)
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, vim.split(vim.trim(text), '\n'))
  local set = { buftype = 'nowrite', modifiable = false, modified = false, swapfile = false, filetype = 'taper-checkpoint' }
  for option, value in pairs(set) do
    vim.bo[buffer][option] = value
  end
end

return M
