" Colours without the server; with it, semantic tokens say more.
if exists('b:current_syntax')
  finish
endif
syntax match taperLayer /\<\u\w*\ze\s*\%((\|$\|->\)/
syntax match taperNumber /\<\d[0-9_]*\%(\.\d[0-9_]*\)\?\%([eE][+-]\?\d\+\)\?\a*/
syntax keyword taperDtype f64 f32 f16 bf16 f8e4m3 i64 i32 i16 i8 u32 u8 bool
syntax keyword taperKeyword for in if else and or not
syntax match taperKeyword /\<\%(repeat\|choose\|of\|stacked\|input\|output\|let\|param\|buffer\|macs\|elementwise\|dtype\|expect\|weights\|at\|on\|under\)\>\ze\s\+[^-:,=]/
syntax match taperItem /\<\%(model\|block\|use\)\>\ze\s\+["A-Za-z_]/
syntax keyword taperConstant true false none it
syntax match taperLabel /^\s*\zs[A-Za-z_0-9][A-Za-z_0-9.]*\ze\s*:/
syntax match taperOperator /->/
syntax region taperString start=/"/ skip=/\\./ end=/"/ oneline contains=taperHole
syntax region taperHole matchgroup=Special start=/{/ end=/}/ contained oneline contains=taperNumber
syntax match taperComment /#.*/ contains=@Spell

highlight default link taperLayer Function
highlight default link taperNumber Number
highlight default link taperDtype Type
highlight default link taperKeyword Keyword
highlight default link taperItem Keyword
highlight default link taperConstant Constant
highlight default link taperLabel Identifier
highlight default link taperOperator Operator
highlight default link taperString String
highlight default link taperComment Comment
let b:current_syntax = 'taper'
