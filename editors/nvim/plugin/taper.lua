-- Taper: what a layer costs, where the model is written. Needs Neovim 0.11.

if vim.g.loaded_taper or vim.fn.has('nvim-0.11') == 0 then
  return
end
vim.g.loaded_taper = true

vim.filetype.add({ extension = { taper = 'taper' } })
vim.lsp.enable('taper')

local group = vim.api.nvim_create_augroup('taper', {})
vim.api.nvim_create_autocmd('LspAttach', {
  group = group,
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    if client and client.name == 'taper' then
      require('taper').show(event.buf)
    end
  end,
})
vim.api.nvim_create_autocmd('BufReadCmd', {
  group = group,
  pattern = '*.safetensors',
  callback = function(event)
    require('taper').read_checkpoint(event.buf, event.match)
  end,
})
