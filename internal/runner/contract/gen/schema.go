package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// schema is the small part of JSON schema that the contract needs.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	MinLength   int                `json:"minLength,omitempty"`
	MinItems    int                `json:"minItems,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // false, or the schema of all values
	OneOf       []schema           `json:"oneOf,omitempty"`
}

// object describes a struct; said holds the comments by "Type.Field".
func object(t reflect.Type, said map[string]string) *schema {
	out := &schema{Type: "object", Description: said[t.Name()], Properties: map[string]*schema{}, Additional: false}
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		required := rest != "omitempty"
		p := value(f.Type, said)
		if required {
			out.Required = append(out.Required, name)
			demand(p)
		}
		if d := said[t.Name()+"."+f.Name]; d != "" {
			p.Description = d
		}
		out.Properties[name] = p
	}
	return out
}

// value describes one field's type.
func value(t reflect.Type, said map[string]string) *schema {
	switch t.Kind() {
	case reflect.Struct:
		return object(t, said)
	case reflect.Pointer:
		return value(t.Elem(), said)
	case reflect.Slice:
		items := value(t.Elem(), said)
		return &schema{Type: "array", Items: items}
	case reflect.Map:
		return &schema{Type: "object", Additional: value(t.Elem(), said)}
	case reflect.Interface:
		return &schema{}
	case reflect.Int, reflect.Int64:
		return &schema{Type: "integer", Minimum: new(int)}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.String:
		return &schema{Type: "string"}
	default:
		panic(fmt.Sprintf("the contract holds a %s, which this generator does not know", t))
	}
}

// demand tightens a required field: it must not be empty.
func demand(p *schema) {
	switch p.Type {
	case "string":
		p.MinLength = 1
	case "array":
		p.MinItems = 1
	case "integer":
		*p.Minimum = 1
	}
}

// comments reads the doc comments of every type and field in folder.
func comments(folder string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, fmt.Errorf("list Go files in %q: %w", folder, err)
	}
	said := map[string]string{}
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", name, err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("parse %q: %w", name, err)
		}
		collect(parsed, said)
	}
	return said, nil
}

// collect adds the comments of one file.
func collect(f *ast.File, said map[string]string) {
	for _, d := range f.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.TYPE {
			continue
		}
		for _, s := range decl.Specs {
			spec := s.(*ast.TypeSpec) // a type declaration holds nothing else
			said[spec.Name.Name] = line(decl.Doc)
			fields, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range fields.Fields.List {
				for _, n := range field.Names {
					said[spec.Name.Name+"."+n.Name] = line(field.Doc)
				}
			}
		}
	}
}

// line is a comment on one line.
func line(doc *ast.CommentGroup) string {
	return strings.Join(strings.Fields(doc.Text()), " ")
}
