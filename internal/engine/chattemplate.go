package engine

import "kaito.sh/kaito/internal/model"

// chatML is what llama.cpp's built-in template of this name writes, in jinja: no
// system turn that nobody asked for.
const chatML = `{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\n' -}}
{%- endif -%}
`

// ChatTemplate is the text of the template that a model is served with, in jinja;
// empty leaves it to the files of the model.
func ChatTemplate(m model.Model) string {
	return templates()[m.Chat.Template]
}

// templates are those whose names a catalog file may say.
func templates() map[string]string {
	return map[string]string{"chatml": chatML}
}

// KnowsTemplate says whether a catalog file may name a template.
func KnowsTemplate(name string) bool {
	_, ok := templates()[name]
	return name == "" || ok
}
