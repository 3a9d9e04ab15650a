-- The language server, for `vim.lsp.enable('taper')`. What stands here can be changed by
-- `vim.lsp.config('taper', { … })`: settings are under `settings = { taper = { … } }`.

local taper = require('taper')

---@type vim.lsp.Config
return {
  cmd = { taper.server(), 'lsp' },
  filetypes = { 'taper', 'json', 'jsonc' },
  root_dir = function(buffer, start)
    if taper.is_model(buffer) then
      start(vim.fs.root(buffer, { '.git' }) or vim.fs.dirname(vim.api.nvim_buf_get_name(buffer)))
    end
  end,
  handlers = { ['workspace/inlayHint/refresh'] = taper.refresh_hints },
  on_exit = taper.restart_after_crash,
}
